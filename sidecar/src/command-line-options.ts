import type { Json } from "@heddle/base";
import type { SidecarFlags } from "./flags.ts";

/** `envoy.admin.v3.CommandLineOptions` of `/server_info`. The text of a bootstrap is left out: it may hold secrets. */
export function commandLineOptions(flags: SidecarFlags): Json {
  return {
    base_id: "0",
    use_dynamic_base_id: false,
    concurrency: flags.concurrency,
    config_path: flags.configPath ?? "",
    allow_unknown_static_fields: flags.allowUnknownStaticFields,
    reject_unknown_dynamic_fields: false,
    ignore_unknown_dynamic_fields: false,
    skip_deprecated_logs: false,
    admin_address_path: flags.adminAddressPath ?? "",
    local_address_ip_version: "v4",
    log_level: flags.logLevel === "warn" ? "warning" : flags.logLevel,
    component_log_level: [...flags.componentLevels].map(([name, level]) => `${name}:${level}`).join(","),
    log_format: flags.logFormat,
    log_path: flags.logPath ?? "",
    service_cluster: flags.nodeCluster ?? "",
    service_node: flags.nodeId ?? "",
    service_zone: flags.nodeZone ?? "",
    file_flush_interval: `${flags.accessLogFlush.afterMs / 1000}s`,
    file_flush_min_size_kb: flags.accessLogFlush.at / 1024,
    drain_strategy: flags.drain.strategy === "gradual" ? "Gradual" : "Immediate",
    drain_time: `${flags.drain.timeMs / 1000}s`,
    parent_shutdown_time: "0s",
    mode: { serve: "Serve", validate: "Validate", init_only: "InitOnly" }[flags.mode],
    disable_hot_restart: true,
    restart_epoch: 0,
    cpuset_threads: false,
    disabled_extensions: [...flags.disabledExtensions],
    stats_tag: Object.entries(flags.statsTags).map(([name, value]) => `${name}:${value}`),
  };
}
