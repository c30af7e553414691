// Prints the bytecode of every token in tests/contracts/helpers/Tokens.sol as one JSON object. Without
// the optimizer, so it takes two seconds.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(import.meta.url);
const solc = require("solc");
const root = path.dirname(import.meta.dirname);
const source = "tests/contracts/helpers/Tokens.sol";

const read = (name) => ({ contents: readFileSync(path.join(root, "node_modules", name), "utf8") });
const input = {
  language: "Solidity",
  sources: { [source]: { content: readFileSync(path.join(root, source), "utf8") } },
  settings: {
    evmVersion: "prague",
    outputSelection: { [source]: { "*": ["evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
const errors = (output.errors ?? []).filter((entry) => entry.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((entry) => entry.formattedMessage).join("\n"));
  process.exit(1);
}
const found = Object.entries(output.contracts[source]);
console.log(
  JSON.stringify(Object.fromEntries(found.map(([name, c]) => [name, c.evm.bytecode.object]))),
);
