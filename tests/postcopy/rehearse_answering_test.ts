import { rehearseAnswering } from "../../src/postcopy/rehearse_answering.ts";
import { testRehearsal } from "./fixtures/rehearsal.ts";

testRehearsal(rehearseAnswering, 1);
