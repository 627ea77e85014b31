import { kubeApiContract } from "../harness/kube/kube-api-contract.ts";
import { noRealKubeApiServer, realKubeApiServer, startRealKubeApiServer } from "../harness/real-kube-api-server.ts";

/* What the API server of the tests shows on the wire, a real one shows too: the same contract holds both. */

kubeApiContract(realKubeApiServer, startRealKubeApiServer, noRealKubeApiServer);
