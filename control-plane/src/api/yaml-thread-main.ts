import { parentPort } from "node:worker_threads";
import { parsePlainYaml } from "@heddle/config/yaml";
import type { YamlAnswer, YamlText } from "./yaml-thread.ts";

/* The other end of a `YamlThread`: texts in, what stands in them out. */

parentPort?.on("message", (texts: readonly YamlText[]) => {
  const answer: YamlAnswer = texts.map(({ source, text }) => parsePlainYaml(source, text));
  parentPort?.postMessage(answer);
});
