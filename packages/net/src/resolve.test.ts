import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, it } from "node:test";
import { type LookupFamily, NameResolver, queryDns, type Resolution } from "./resolve.ts";
import { candidateNames, parseHosts, parseResolvConf } from "./resolve-files.ts";

const CONF = parseResolvConf("");

describe("hosts file", () => {
  it("gives all addresses of a name, whatever its case, and passes over nonsense", () => {
    const hosts = parseHosts(
      "127.0.0.1\tlocalhost Web # comment\n::1 localhost\n#10.0.0.1 off\nnonsense web\n127.0.0.1 web\n\n",
    );
    assert.deepEqual(
      [...hosts],
      [
        ["localhost", ["127.0.0.1", "::1"]],
        ["web", ["127.0.0.1"]],
      ],
    );
  });
});

describe("resolv.conf", () => {
  it("gives servers, search list and options, the last search line counting", () => {
    const conf = parseResolvConf(
      "; comment\nnameserver 10.0.0.10\nnameserver fd00::10\nnameserver bad\ndomain old.example\nsearch a.example. b.example\noptions ndots:5 timeout:2 rotate\noptions attempts:9\n",
    );
    assert.deepEqual(conf, {
      nameservers: ["10.0.0.10", "fd00::10"],
      search: ["a.example", "b.example"],
      ndots: 5,
      timeoutMs: 2000,
      attempts: 5,
    });
  });

  it("has defaults", () => {
    assert.deepEqual(CONF, { nameservers: [], search: [], ndots: 1, timeoutMs: 5000, attempts: 2 });
  });

  it("orders the names to ask for by ndots", () => {
    const conf = { ...CONF, search: ["x", "y"], ndots: 2 };
    assert.deepEqual(candidateNames("web", conf), ["web.x", "web.y", "web"]);
    assert.deepEqual(candidateNames("a.b.c", conf), ["a.b.c", "a.b.c.x", "a.b.c.y"]);
    assert.deepEqual(candidateNames("web.", conf), ["web"]);
  });
});

describe("name resolver", () => {
  const found = (addresses: string[], ttlMs: number | undefined): Resolution => ({ type: "found", addresses, ttlMs });

  /** A resolver whose name servers know `records` ("name/4" or "name/6"), and the list of what they were asked. */
  function resolver(records: Record<string, Resolution>, { hosts = "", resolvConf = "" } = {}) {
    const asked: string[] = [];
    const names = new NameResolver({
      readHosts: async () => hosts,
      readResolvConf: async () => resolvConf,
      query: async (name, family) => {
        asked.push(`${name}/${family}`);
        return records[`${name}/${family}`] ?? { type: "not-found" };
      },
    });
    return { resolve: (name: string, family: LookupFamily = "V4_ONLY") => names.resolve(name, family), asked };
  }

  it("answers literals, hosts and localhost without asking anybody", async () => {
    const { resolve, asked } = resolver({}, { hosts: "10.0.0.1 web\nfd00::1 web" });
    assert.deepEqual(await resolve("192.0.2.1"), found(["192.0.2.1"], undefined));
    assert.deepEqual(await resolve("::1"), { type: "not-found" }, "not of the family");
    assert.deepEqual(await resolve("WEB."), found(["10.0.0.1"], undefined));
    assert.deepEqual(await resolve("web", "ALL"), found(["fd00::1", "10.0.0.1"], undefined));
    assert.deepEqual(await resolve("a.localhost", "V4_PREFERRED"), found(["127.0.0.1"], undefined));
    assert.deepEqual(asked, []);
  });

  it("goes through the search list until a name has addresses", async () => {
    const { resolve, asked } = resolver(
      { "web.shop.svc/4": found(["10.0.0.1"], 30_000) },
      { resolvConf: "search local shop.svc\noptions ndots:5" },
    );
    assert.deepEqual(await resolve("web"), found(["10.0.0.1"], 30_000));
    assert.deepEqual(asked, ["web.local/4", "web.shop.svc/4"]);
  });

  it("takes the family that is wanted, and the shortest TTL of what it takes", async () => {
    const { resolve } = resolver({
      "both/4": found(["10.0.0.1"], 5000),
      "both/6": found(["fd00::1"], 60_000),
      "four/4": found(["10.0.0.2"], 7000),
    });
    assert.deepEqual(await resolve("both", "AUTO"), found(["fd00::1"], 60_000));
    assert.deepEqual(await resolve("both", "V4_PREFERRED"), found(["10.0.0.1"], 5000));
    assert.deepEqual(await resolve("both", "ALL"), found(["fd00::1", "10.0.0.1"], 5000));
    assert.deepEqual(await resolve("both", "V6_ONLY"), found(["fd00::1"], 60_000));
    assert.deepEqual(await resolve("four", "AUTO"), found(["10.0.0.2"], 7000));
    assert.deepEqual(await resolve("four", "V6_ONLY"), { type: "not-found" });
  });

  it("tells a name that is not there from servers that do not answer", async () => {
    const failed: Resolution = { type: "failed", detail: "web.x: ETIMEOUT" };
    const { resolve } = resolver({ "web.x/4": failed }, { resolvConf: "search x y" });
    assert.deepEqual(await resolve("web"), failed);
    assert.deepEqual(await resolve("other"), { type: "not-found" });
    const second = resolver({ "web.x/4": failed, "web.y/4": found(["10.0.0.1"], 0) }, { resolvConf: "search x y" });
    assert.deepEqual(await second.resolve("web"), found(["10.0.0.1"], 0));
  });
});

describe("DNS query", () => {
  /** A name server that answers every question with this code and these A records. */
  async function withServer(
    code: number,
    addresses: readonly string[],
    use: (server: string) => Promise<void>,
  ): Promise<void> {
    const server = createSocket("udp4", (message, { port, address }) => {
      const question = message.subarray(12, message.indexOf(0, 12) + 5);
      const header = Buffer.from(message.subarray(0, 12));
      header.writeUInt16BE(0x8180 | code, 2);
      header.writeUInt16BE(addresses.length, 6);
      header.fill(0, 8);
      const answers = addresses.map((text, i) =>
        // A pointer to the name of the question, A, IN, the TTL, four bytes (RFC 1035 §4.1).
        Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60 - 10 * i, 0, 4, ...text.split(".").map(Number)]),
      );
      server.send(Buffer.concat([header, question, ...answers]), port, address);
    });
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    try {
      await use(`127.0.0.1:${server.address().port}`);
    } finally {
      server.close();
      await once(server, "close");
    }
  }

  it("gives the addresses with the shortest TTL", async () => {
    await withServer(0, ["10.0.0.1", "10.0.0.2"], async (server) => {
      assert.deepEqual(await queryDns("web.example", 4, { ...CONF, nameservers: [server] }), {
        type: "found",
        addresses: ["10.0.0.1", "10.0.0.2"],
        ttlMs: 50_000,
      });
    });
  });

  it("tells NXDOMAIN and no data from a server's failure", async () => {
    const ask = async (code: number): Promise<Resolution["type"] | undefined> => {
      let type: Resolution["type"] | undefined;
      await withServer(code, [], async (server) => {
        type = (await queryDns("web.example", 4, { ...CONF, nameservers: [server], attempts: 1 })).type;
      });
      return type;
    };
    assert.equal(await ask(3), "not-found");
    assert.equal(await ask(0), "not-found");
    assert.equal(await ask(5), "failed");
  });
});
