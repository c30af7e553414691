// A compiler that stays: for benchmarks/mutants.py. Each line of its input is a JSON list of source
// files; it compiles them in the current folder and writes their code into Hardhat's artifacts there.
// Each line of its output is "ok", or a JSON string with the first error.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(path.join(process.cwd(), "package.json"));
const solc = require("solc");

const WANTED = ["evm.bytecode.object", "evm.deployedBytecode.object"];

const read = (name) => {
  for (const file of [name, path.join("node_modules", name)]) {
    try {
      return { contents: readFileSync(file, "utf8") };
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
  }
  return { error: `there is no ${name}` };
};

const compile = (files) => {
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(files.map((file) => [file, { content: read(file).contents }])),
    settings: {
      evmVersion: "prague",
      outputSelection: Object.fromEntries(files.map((file) => [file, { "*": WANTED }])),
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  const wrong = (output.errors ?? []).find((entry) => entry.severity === "error");
  if (wrong !== undefined) return JSON.stringify(wrong.message);
  for (const file of files) {
    for (const [name, found] of Object.entries(output.contracts[file] ?? {})) {
      const place = path.join("artifacts", file, `${name}.json`);
      const artifact = JSON.parse(readFileSync(place, "utf8"));
      artifact.bytecode = `0x${found.evm.bytecode.object}`;
      artifact.deployedBytecode = `0x${found.evm.deployedBytecode.object}`;
      writeFileSync(place, JSON.stringify(artifact));
    }
  }
  return "ok";
};

for await (const line of createInterface({ input: process.stdin })) {
  console.log(compile(JSON.parse(line)));
}
