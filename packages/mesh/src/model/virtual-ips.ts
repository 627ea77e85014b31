import { createHash } from "node:crypto";
import type { Service } from "./service.ts";

/** Addresses that nobody has: a captured caller's connection to one is for the service that it was given to. */
export interface VirtualIps {
  /** Of 240.240.0.0/16, which is reserved for future use (RFC 1112 §4) and which no router passes on; Istio's range too. */
  readonly ipv4: string;
  /** Of fd68:6564:646c:6500::/64, a range for local use (RFC 4193). */
  readonly ipv6: string;
}

/**
 * Addresses for services that have none of their own and are no names of something else, so that TCP to them can be told apart
 * and their names can be resolved. What a service gets depends on its name: replicas agree, and it stays when others come and
 * go, save where two hash to the same: there the first by name has it, and the next takes another try.
 *
 * @param services ordered by name.
 */
export function virtualIps(services: readonly Service[]): ReadonlyMap<Service, VirtualIps> {
  const taken = new Set<number>();
  const given = new Map<Service, VirtualIps>();
  for (const service of services) {
    if (!needsOne(service) || taken.size >= MOST) continue;
    for (let attempt = 0; ; attempt++) {
      const number = placeOf(service, attempt);
      if (taken.has(number)) continue;
      taken.add(number);
      given.set(service, addressesAt(number));
      break;
    }
  }
  return given;
}

function needsOne({ clusterIps, headless, externalName }: Service): boolean {
  return clusterIps.length === 0 && !headless && externalName === undefined;
}

/** 1 to 65,534: neither the network's own address nor that of everybody. */
function placeOf({ namespace, name }: Service, attempt: number): number {
  const hash = createHash("sha256").update(`${namespace}/${name}/${attempt}`).digest();
  return 1 + (hash.readUInt32BE(0) % (RANGE - 2));
}

function addressesAt(number: number): VirtualIps {
  return {
    ipv4: `240.240.${number >> 8}.${number & 0xff}`,
    ipv6: `fd68:6564:646c:6500::${number.toString(16)}`,
  };
}

const RANGE = 65_536;
/** Beyond it looking for a free one would take long; a mesh of so many services has addresses of its own. */
const MOST = 48_000;
