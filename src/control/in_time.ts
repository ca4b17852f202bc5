/**
 * Waits for what somebody else must do at the very end, but not for long.
 *
 * @module
 */

/**
 * Waits for a step.
 * @param milliseconds How long.
 * @param step What is waited for.
 * @param giveUp Called when the time is up: it makes the step end.
 * @returns What the step resolves with.
 */
export async function inTime<T>(
  milliseconds: number,
  step: Promise<T>,
  giveUp: () => void,
): Promise<T> {
  const timer = setTimeout(giveUp, milliseconds);
  try {
    return await step;
  } finally {
    clearTimeout(timer);
  }
}
