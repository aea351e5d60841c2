# What watches the roles: their metrics ports, a Prometheus with the alerts, and the dashboard.
{
  config,
  lib,
  ...
}:

let
  inherit (lib) mkEnableOption mkOption types;

  cfg = config.services.restaurant-system;

  files = "${cfg.package}/share/doc/restaurant-system";

  # Cooks and subscribers, which have no port unless they are given one.
  named =
    role: set:
    lib.mapAttrsToList (name: options: {
      inherit name role;
      unit = "${role}@${name}";
      given = options.metricsPort;
      # A station shows its metrics on its own port.
      station = options.stationPort or null;
    }) set;

  processes =
    named "kitchen-worker" cfg.kitchenWorkers
    ++ named "notification-subscriber" cfg.notificationSubscribers;

  withoutPort = lib.filter (process: process.given == null && process.station == null) processes;

  counted = lib.optionalAttrs cfg.monitoring.enable (
    lib.listToAttrs (
      lib.imap0 (
        index: process: lib.nameValuePair process.unit (cfg.monitoring.firstPort + index)
      ) withoutPort
    )
  );

  given = lib.listToAttrs (
    map (process: lib.nameValuePair process.unit process.given) (
      lib.filter (process: process.given != null) processes
    )
  );

  # As somebody on this machine reaches what listens there.
  reached =
    address:
    {
      "0.0.0.0" = "127.0.0.1";
      "::" = "[::1]";
      "[::]" = "[::1]";
    }
    .${address} or (
      if lib.hasInfix ":" address then
        "[${lib.removePrefix "[" (lib.removeSuffix "]" address)}]"
      else
        address
    );

  target = address: port: labels: {
    targets = [ "${reached address}:${toString port}" ];
    inherit labels;
  };

  httpTargets = lib.mapAttrsToList (
    role: service: target service.address service.port { inherit role; }
  ) cfg.httpServices;

  namedTargets = map (
    process:
    let
      labels = { inherit (process) role name; };
    in
    if cfg.metricsPorts ? ${process.unit} then
      target cfg.metricsAddress cfg.metricsPorts.${process.unit} labels
    else
      target "127.0.0.1" process.station labels
  ) processes;
in
{
  options.services.restaurant-system = {
    monitoring = {
      enable = mkEnableOption "a Prometheus on this machine that watches the roles, with the alerts of the package; where Grafana is enabled, it gets the dashboard";

      firstPort = mkOption {
        type = types.port;
        default = 9101;
        description = ''
          First of the metrics ports of cooks and subscribers of this machine for which `metricsPort` says none. They are
          counted in the order of the names, cooks first.
        '';
      };

      targets = mkOption {
        type = types.listOf types.attrs;
        default = [ ];
        example = [
          {
            targets = [ "10.0.0.3:9101" ];
            labels = {
              role = "kitchen-worker";
              name = "chef_luigi";
            };
          }
        ];
        description = "Processes on other machines that are watched as well, each with the labels `role` and `name`.";
      };
    };

    metricsAddress = mkOption {
      type = types.str;
      default = "127.0.0.1";
      example = "10.0.0.3";
      description = "Address on which cooks and subscribers show their metrics. Anybody who reaches it can read them.";
    };

    httpServices = mkOption {
      type = types.attrs;
      internal = true;
      readOnly = true;
      description = "The HTTP services that are enabled, by their roles.";
    };

    metricsPorts = mkOption {
      type = types.attrsOf types.port;
      internal = true;
      readOnly = true;
      description = "The metrics port of each unit that has one.";
    };
  };

  config = lib.mkMerge [
    {
      services.restaurant-system = {
        metricsPorts = counted // given;
        httpServices = lib.filterAttrs (_: service: service.enable) {
          order-service = cfg.orderService;
          tracking-service = cfg.trackingService;
          web-gateway = cfg.webGateway;
        };
      };
    }
    (lib.mkIf (cfg.enable && cfg.monitoring.enable) {
      services.prometheus = {
        enable = lib.mkDefault true;
        ruleFiles = [ "${files}/prometheus/restaurant.rules.yml" ];
        scrapeConfigs = [
          {
            job_name = "restaurant";
            scrape_interval = lib.mkDefault "15s";
            static_configs = httpTargets ++ namedTargets ++ cfg.monitoring.targets;
          }
        ];
      };

      services.grafana.provision = lib.mkIf config.services.grafana.enable {
        enable = true;
        dashboards.settings.providers = [
          {
            name = "restaurant-system";
            options.path = "${files}/grafana";
          }
        ];
        datasources.settings.datasources = [
          {
            name = "Restaurant";
            type = "prometheus";
            url = "http://127.0.0.1:${toString config.services.prometheus.port}";
          }
        ];
      };
    })
  ];
}
