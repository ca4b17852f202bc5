/**
 * A stand-in for Ferry's command line that only talks like it, for the test of `run_ferry.ts`.
 *
 * @module
 */

const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
const complain = (line: string) => Deno.stderr.writeSync(new TextEncoder().encode(line + "\n"));
const event = (name: string, data: Record<string, string>) =>
  say(JSON.stringify({ event: name, data, timestamp: { seconds: 0, microseconds: 0 } }));
const status = (status: string) => event("MIGRATION", { status });

const [command, ...rest] = Deno.args;
if (rest.at(-1) !== "--json" && command !== "plain") {
  complain("No --json");
  Deno.exit(2);
}
switch (command) {
  case "receive":
    event("LISTENING", { uri: "tcp:127.0.0.1:41234" });
    ["setup", "active", "completed"].forEach(status);
    say(JSON.stringify({ status: "completed", ram: { total: 1 } }));
    break;
  case "fail":
    ["setup", "active", "failed"].forEach(status);
    complain("ferry: The other side hung up");
    say(JSON.stringify({ status: "failed" }));
    Deno.exit(1);
    break;
  case "stray":
    say("progress: 10 %");
    say(JSON.stringify({ status: "completed" }));
    break;
  case "hang":
    status("active");
    complain("waiting");
    setInterval(() => {}, 1000);
    break;
  case "plain":
    say("ready");
    break;
}
