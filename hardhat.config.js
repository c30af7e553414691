import { globSync } from "node:fs";
import { createRequire } from "node:module";

import { defineConfig } from "hardhat/config";

const require = createRequire(import.meta.url);

// The compiler comes from the package `solc`, so a build needs no download. Both profiles name it:
// Hardhat would otherwise look for a native compiler for the second.
const compiler = {
  version: "0.8.37",
  path: require.resolve("solc/soljson.js"),
  settings: {
    viaIR: true,
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "prague",
    // No hash of the sources in the code: a comment changes no artifact.
    metadata: { bytecodeHash: "none", appendCBOR: false },
  },
};

// Tests deploy the contracts from their artifacts, so they are tested as they are shipped, and the
// tests themselves need no optimizer: that saves most of the time of a build.
const plain = { ...compiler, settings: { evmVersion: "prague" } };
const tests = globSync("tests/contracts/**/*.sol", { cwd: import.meta.dirname });
const overrides = Object.fromEntries(tests.map((path) => [path, plain]));

const testing = (fuzzRuns, invariantRuns, depth) => ({
  fsPermissions: {
    readFile: ["tests/vectors/contracts.json", "tests/vectors/arithmetic.json"],
  },
  fuzz: { runs: fuzzRuns, seed: "0x41696e7572" },
  invariant: { runs: invariantRuns, depth, failOnRevert: true },
});

export default defineConfig({
  solidity: {
    profiles: {
      default: { compilers: [compiler], overrides },
      production: { compilers: [compiler], overrides },
      // For coverage and mutants, which need many builds and no small code.
      quick: { compilers: [plain] },
    },
    npmFilesToBuild: ["@openzeppelin/contracts/governance/TimelockController.sol"],
  },
  paths: {
    sources: "contracts",
    tests: { solidity: "tests/contracts" },
  },
  test: {
    solidity: {
      profiles: {
        default: testing(64, 12, 120),
        quick: testing(16, 3, 60),
      },
    },
  },
  networks: {
    // `hardhat node`: a transaction is mined at once, and time goes on without any, as on a public
    // chain.
    node: {
      type: "edr-simulated",
      chainType: "l1",
      chainId: 31337,
      allowBlocksWithSameTimestamp: true,
      mining: { auto: true, interval: 250 },
    },
  },
});
