import { CheckedPages } from "../../src/postcopy/checked_pages.ts";
import { testStore } from "./fixtures/store_tests.ts";

testStore("CheckedPages", "checks", ({ missing }) => new CheckedPages(missing.layout));
