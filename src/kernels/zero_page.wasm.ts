// Assembled from zero_page.wat by `deno task kernels`; change that file instead.
// deno-fmt-ignore-file
export const zeroPageWasm: Uint8Array<ArrayBuffer> = Uint8Array.fromBase64(
  "AGFzbQEAAAABDgJgAn9/AX9gA39/fwF/Ag8BA2VudgNyYW0CAwGAgAQDAwIAAQcYAgdpc196ZXJvAAAKY291bnRfemVybw"
  + "ABCpQBAmUBAX8gASECA0AgAP0ABAAgAP0ABBD9UCAA/QAEICAA/QAEMP1Q/VAgAP0ABEAgAP0ABFD9UCAA/QAEYCAA/QAE"
  + "cP1Q/VD9UP1TBEBBAA8LIABBgAFqIQAgAkGAAWsiAg0AC0EBCywBAX8CQANAIAJFDQEgAyAAIAEQAGohAyAAIAFqIQAgAk"
  + "EBayECDAALCyADCw=="
);
