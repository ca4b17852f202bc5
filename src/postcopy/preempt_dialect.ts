/**
 * When the preempt channel is opened (wire-format §0 and §8.8). QEMU derives it from the machine type's
 * version, which both sides know.
 *
 * @module
 */

/**
 * Whether a QEMU with this machine type opens the preempt channel while the machine is set up, and ends it
 * with a record; newer ones open it at the switch and end it without a word.
 * @param machine The machine type as the stream names it, such as `pc-i440fx-7.2`; one without a version
 * is no versioned QEMU machine, and new.
 */
export function isBeforePreemptAtSwitch(machine: string): boolean {
  const match = /-(\d+)\.(\d+)$/.exec(machine);
  return match !== null && Number(match[1]) * 1000 + Number(match[2]) <= 7002;
}
