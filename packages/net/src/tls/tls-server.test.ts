import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, test } from "node:test";
import { TestAuthority } from "../testing-certificates.ts";
import { assertNothingLeft } from "../testing-sockets.ts";
import { TestTlsListener } from "./testing-tls.ts";

const authority = new TestAuthority();
const leaf = authority.issue({ commonName: "shop", dns: ["shop.example.com"] });
const shop = { chain: leaf.chain, key: leaf.key, password: undefined };

afterEach(assertNothingLeft);

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`${version}: bytes go both ways, and both ends close in order`, async () => {
    const listener = await TestTlsListener.open({ certificates: [shop], alpnProtocols: ["h2", "http/1.1"] });
    const client = listener.connect({
      minVersion: version,
      maxVersion: version,
      servername: "shop.example.com",
      ca: authority.certificate,
      rejectUnauthorized: true,
      ALPNProtocols: ["http/1.1", "h2"],
      allowHalfOpen: true,
    } as never);
    client.write("question");
    const recorder = await listener.firstSecured();
    const { connection } = recorder;
    await recorder.until(() => recorder.bytes.length === 8);
    assert.equal(connection.alpnProtocol, "h2");
    assert.equal(connection.tls?.version, version);
    assert.equal(connection.tls?.serverName, "shop.example.com");
    assert.equal(connection.tls?.peer, undefined);
    assert.equal(connection.tls?.local?.subject, "CN=shop");
    connection.writeLatin1("answer");
    const [answer] = await once(client, "data");
    assert.equal(String(answer), "answer");
    client.end();
    await recorder.until(() => recorder.ended === 1);
    connection.end();
    await recorder.untilClosed();
    assert.deepEqual(recorder.closed, [{ failure: undefined }]);
    listener.close();
  });

  test(`${version}: a FIN without close_notify is no end in order`, async () => {
    const listener = await TestTlsListener.open({ certificates: [shop] });
    const beneath = listener.connectPlain();
    const client = listener.connect({ socket: beneath, minVersion: version, maxVersion: version });
    client.write("half a");
    const recorder = await listener.firstSecured();
    await recorder.until(() => recorder.bytes.length === 6);
    beneath.end(); // beneath TLS
    await recorder.untilClosed();
    assert.equal(recorder.ended, 0);
    assert.match(recorder.closed[0]?.failure?.detail ?? "", /close_notify/);
    client.destroy();
    listener.close();
  });
}
