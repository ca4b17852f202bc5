import { rehearseFaults } from "../../src/postcopy/rehearse_faults.ts";
import { testRehearsal } from "./fixtures/rehearsal.ts";

/** The bytes of a request. */
const REQUEST = 16;

testRehearsal(rehearseFaults, REQUEST);
