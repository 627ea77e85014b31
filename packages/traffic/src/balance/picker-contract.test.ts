import { byReports } from "./by-reports.ts";
import { leastRequest } from "./least-request.ts";
import { pickerContract } from "./picker-contract.ts";
import { randomChoice } from "./random.ts";
import { roundRobin } from "./round-robin.ts";

pickerContract("round robin", roundRobin, { tolerance: 0 });
pickerContract("random", randomChoice, { tolerance: 0.1 });
pickerContract(
  "least request",
  (endpoints, random) => leastRequest(endpoints, random, { choiceCount: 2, bias: { value: 1 } }),
  { tolerance: 0.1 },
);
pickerContract(
  "by reports",
  (endpoints, random) => {
    for (const endpoint of endpoints) endpoint.beginReports().weight = endpoint.weight; // as if they had said so
    return byReports(endpoints, random);
  },
  { tolerance: 0 },
);
