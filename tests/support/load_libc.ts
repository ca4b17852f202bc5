/**
 * To be imported for its effect by tests that call the kernel: the C library stays open for the whole
 * life of a thread, which inside a test would count as leaked.
 *
 * @module
 */
import { libc } from "../../src/os/libc.ts";

libc();
