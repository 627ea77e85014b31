import { type Command, UsageError } from "../command.ts";
import { joinToken } from "../tokens/join-token.ts";
import { newToken } from "../tokens/new-token.ts";

const help = `Usage: heddle token new NAME [OPTIONS]
       heddle token join [OPTIONS]

new: makes a token for the resource API. Prints the token, which is kept nowhere, and the entry for the file that
heddle control-plane --api-tokens names, which has its hash alone.

Options:
  --role ROLE           read, write (default) or admin, who also sees secrets, makes join tokens and replaces the root
  --group NAME          may write the resources for the nodes of that node.cluster alone; may be given more than once
  --namespace NAME      may write Services, routes, Workloads and policies of that namespace alone; likewise
  --json                both as JSON

join: makes a token with which one workload gets its first certificate, once (heddle sidecar --join-token-file). Prints the
token, which is kept nowhere. The control plane makes it, for a token of the role admin; with --local nobody is asked, and the
entry for the file that heddle control-plane --join-tokens names is printed too.

Options:
  --namespace NAME      the workload's namespace (default)
  --account NAME        its service account (default)
  --ttl DURATION        how long the token may wait to be used (1h), at most seven days
  --local               make it here
  --trust-domain NAME   with --local: the mesh's (cluster.local)
  --server URL, --token-file FILE, --ca-file FILE
                        the resource API, as for heddle apply
  --json                as JSON
  -h, --help            print this

Examples:
  heddle token new ci --role write --group web
  heddle token join --namespace shop --account web > web.token`;

export const token: Command = {
  name: "token",
  help,
  run([verb, ...args]) {
    if (verb === "new") return newToken(args);
    if (verb === "join") return joinToken(args);
    throw new UsageError("allowed: heddle token new NAME, heddle token join");
  },
};
