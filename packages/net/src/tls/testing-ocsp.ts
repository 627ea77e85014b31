import type { TestCertificate } from "@heddle/identity/testing";

/* For tests: what a responder says of a certificate. Nobody has signed it, which is for clients to ask. */

export function ocspResponse({ serialNumber }: Pick<TestCertificate, "serialNumber">, nextUpdate: Date): Buffer {
  const digest = element(0x04, Buffer.alloc(20, 1));
  const sha1 = element(0x30, Buffer.concat([oid("2b0e03021a"), element(0x05, Buffer.alloc(0))]));
  const id = sequence(sha1, digest, digest, element(0x02, Buffer.from(serialNumber, "hex")));
  const now = time(new Date(nextUpdate.getTime() - 86_400_000));
  const answer = sequence(id, element(0x80, Buffer.alloc(0)), now, element(0xa0, time(nextUpdate)));
  const data = sequence(element(0xa2, digest), now, sequence(answer));
  const ecdsa = sequence(oid("2a8648ce3d040302"));
  const basic = sequence(data, ecdsa, element(0x03, Buffer.from([0, 0x30, 0])));
  const typed = sequence(oid("2b0601050507300101"), element(0x04, basic));
  return sequence(element(0x0a, Buffer.from([0])), element(0xa0, typed));
}

function time(date: Date): Buffer {
  return element(0x18, Buffer.from(`${date.toISOString().replaceAll(/[-:T]|\.\d+/g, "")}`));
}

function oid(hex: string): Buffer {
  return element(0x06, Buffer.from(hex, "hex"));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return element(0x30, Buffer.concat(parts));
}

function element(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
