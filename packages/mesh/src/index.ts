export { type AttachmentFault, attachmentFault, refusalOf } from "./check/attachment-fault.ts";
export { checkPolicies } from "./check/check-policies.ts";
export { checkReferences } from "./check/check-references.ts";
export { checkServices } from "./check/check-services.ts";
export { checkWorkloads } from "./check/check-workloads.ts";
export type { Attribute, AuthorizationPolicy, AuthorizationRule, Criterion } from "./model/authorization-policy.ts";
export type { EndpointHints, EndpointSlice, SliceEndpoint, SlicePort } from "./model/endpoint-slice.ts";
export type { ExtensionProvider } from "./model/extension-provider.ts";
export type {
  Backend,
  GrpcMethod,
  HeaderChanges,
  HeaderValue,
  HttpRoute,
  PathChange,
  Redirect,
  RequestMatch,
  Rewrite,
  RouteFilters,
  RouteRule,
  ValueMatch,
} from "./model/http-route.ts";
export { keyOf, Mesh, type MeshObject } from "./model/mesh.ts";
export { diagnosticAt, formatOrigin, type Origin } from "./model/origin.ts";
export type { MtlsMode, PeerAuthentication } from "./model/peer-authentication.ts";
export { ANYWHERE, type Place, relevantPlace, type Sensitivity, sensitivityOf } from "./model/place.ts";
export { NO_POLICIES, type Policy, samePolicies, type WorkloadPolicies } from "./model/policy-index.ts";
export type { ReferenceGrant } from "./model/reference-grant.ts";
export { type Replacement, replacementsIn } from "./model/replacements.ts";
export type { JwksUri, JwtKeys, JwtRule, RequestAuthentication } from "./model/request-authentication.ts";
export { backendRefsOf, isRoute, isStreamRoute, ROUTE_KINDS, type Route, type RouteKind } from "./model/route.ts";
export type { BackendRef, ParentService } from "./model/route-ends.ts";
export type {
  AppProtocol,
  IpFamily,
  Labels,
  Service,
  ServicePort,
  ServicePortPair,
  TargetPort,
} from "./model/service.ts";
export type { StreamRoute } from "./model/stream-route.ts";
export type { CaptureMode, EgressRule, Locality, Workload, WorkloadPort } from "./model/workload.ts";
export { type ReadObjects, readObjects } from "./read/read-objects.ts";
export { parseJwksUri } from "./read/read-request-authentication.ts";
export { OPAQUE_PORTS, protocolOfPortName, readableOpaquePorts } from "./read/read-service.ts";
export { isRefused, routesFor } from "./translate/attached-routes.ts";
export { capturedInboundListener } from "./translate/captured-inbound.ts";
export {
  CAPTURE_PORTS,
  type CapturedRules,
  carriageOf,
  namedPortListener,
  type PodPlace,
  type PodsCalled,
  podsListener,
  podsPlaces,
  serverNameChains,
  serviceListener,
  virtualOutboundListener,
} from "./translate/captured-listeners.ts";
export {
  absentCluster,
  blackholeCluster,
  capturedInboundCluster,
  inboundCluster,
  keysCluster,
  outboundCluster,
  passthroughCluster,
  podsCluster,
  providerCluster,
  securedOutboundCluster,
} from "./translate/clusters.ts";
export { dnsDomains, dnsListener, dnsTcpListener, type NamedService } from "./translate/dns-listeners.ts";
export {
  type Backing,
  endpointsBehind,
  type IdentityOf,
  type ServingEndpoint,
  serviceEndpoints,
  servingEndpoints,
  targetPort,
} from "./translate/endpoints.ts";
export { grpcEntries } from "./translate/grpc-entries.ts";
export { type InboundSecurity, inboundListener } from "./translate/inbound-listener.ts";
export {
  dialledListenerManager,
  type OutboundOptions,
  outboundListener,
} from "./translate/listeners.ts";
export { identitiesOf, type MeshTrust, spiffeIdOf } from "./translate/mtls.ts";
export { mtlsMode } from "./translate/mtls-mode.ts";
export {
  clusterNameOf,
  isCarried,
  NO_CLUSTER,
  OUTBOUND_ROUTES,
  outboundClusterName,
  outboundPortName,
  parseOutboundClusterName,
  parseServiceHost,
  ROUTER_FILTER,
  type ServiceHost,
} from "./translate/names.ts";
export { askedServices } from "./translate/policy/custom-authorization.ts";
export { keyUris } from "./translate/policy/request-authentication.ts";
export { type OrderedMatch, orderMatches } from "./translate/route-order.ts";
export {
  capturedRouteConfiguration,
  capturedVirtualHost,
  hostOfVirtualHostName,
  inboundRouteConfiguration,
  outboundRouteConfiguration,
  serviceVirtualHost,
  type UnknownDestinations,
  virtualHostNames,
} from "./translate/routes.ts";
export {
  backendsOf,
  type CapturedReach,
  capturedReach,
  isInScope,
  type Reachable,
  type ReachablePort,
  reachable,
  type ScopeRules,
} from "./translate/scope.ts";
