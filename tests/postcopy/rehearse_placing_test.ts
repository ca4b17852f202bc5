import { rehearsePlacing } from "../../src/postcopy/rehearse_placing.ts";
import { testRehearsal } from "./fixtures/rehearsal.ts";

testRehearsal(rehearsePlacing, 1);
