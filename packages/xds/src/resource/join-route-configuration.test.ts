import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { joinRouteConfiguration } from "./join-route-configuration.ts";
import { makeResourceTypes } from "./resource-types.ts";

const TYPES = makeResourceTypes({ httpFilters: "unchecked" });

describe("a route configuration put together from its virtual hosts", () => {
  it("is what encoding the whole gives, with none of them, some, and one that is large", () => {
    const json = (hosts: readonly { name: string; domains: string[] }[]) => ({ name: "outbound", hosts });
    for (const { name, hosts } of [
      json([]),
      json([{ name: "a", domains: ["a"] }]),
      json([
        { name: "a", domains: ["a"] },
        { name: "large", domains: Array.from({ length: 2000 }, (_, index) => `host-${index}.example`) },
        { name: "b", domains: ["b", "b:80"] },
      ]),
    ]) {
      const virtualHosts = hosts.map((host) => ({ ...EMPTY_HOST, ...host }));
      const config = { ...EMPTY, name, virtualHosts };
      const head = TYPES["route-configuration"].encode({ ...EMPTY, name, virtualHosts: [] });
      const joined = joinRouteConfiguration(
        head,
        virtualHosts.map((host) => TYPES["virtual-host"].encode(host)),
      );
      assert.deepEqual(Buffer.from(joined), Buffer.from(TYPES["route-configuration"].encode(config)));
    }
  });
});

const NO_MUTATIONS = {
  requestHeadersToAdd: [],
  requestHeadersToRemove: [],
  responseHeadersToAdd: [],
  responseHeadersToRemove: [],
};
const EMPTY = {
  ignorePortInHostMatching: false,
  mostSpecificHeaderMutationsWins: false,
  validateClusters: false,
  typedPerFilterConfig: {},
  ...NO_MUTATIONS,
};
const EMPTY_HOST = {
  routes: [],
  retryPolicy: undefined,
  includeRequestAttemptCount: false,
  includeAttemptCountInResponse: false,
  typedPerFilterConfig: {},
  ...NO_MUTATIONS,
};
