/**
 * What the kernel answers when it says no. Everything in this room follows the kernel's own
 * convention: a call returns a number, 0 or more if it worked and minus the errno if not, so that
 * a refusal is an ordinary value and costs nothing.
 *
 * @module
 */

/** The errnos that callers tell apart; Linux numbers them alike on x86-64 and aarch64. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSYS: 38,
} as const;

/**
 * An errno as people know it.
 * @param result What a call of this room returned: a negative errno.
 * @returns `EPERM` and the like, or `errno 71` for one without a name here.
 */
export function errnoName(result: number): string {
  const errno = Math.abs(result);
  const known = Object.entries(Errno).find(([, value]) => value === errno);
  return known ? known[0] : `errno ${errno}`;
}
