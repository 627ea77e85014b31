export * from "../h2/frame/index.ts";
export { HpackDecoder, HpackEncoder, HpackError } from "../h2/hpack/index.ts";
export { receiveReused, waysToCut } from "./cuts.ts";
export { H2Peer, type SeenFrame } from "./h2-peer.ts";
export { entries, ReceivedMessage, ReceivedRequest, ReceivedResponse, summary } from "./received-message.ts";
export { RecordingTransport } from "./recording-transport.ts";
export { ScriptedClient } from "./scripted-client.ts";
export { GET, POST, ScriptedH2Client, ScriptedH2Server } from "./scripted-h2.ts";
export { AnsweringServer, ScriptedServer } from "./scripted-server.ts";
