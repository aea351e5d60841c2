# What cannot be meant so.
{ config, lib, ... }:

let
  cfg = config.services.restaurant-system;

  option = name: "services.restaurant-system.${name}";

  loopback = [
    "127.0.0.1"
    "localhost"
    "::1"
    "[::1]"
  ];

  thisMachine = loopback ++ [
    config.networking.hostName
    config.networking.fqdnOrHostName
  ];

  hostsOf = server: lib.toList cfg.${server}.host;

  # Without the port that may stand behind it.
  nameOf =
    host:
    let
      parts = lib.match "(\\[.*]|[^:]*):[0-9]+" host;
    in
    if parts == null then host else lib.head parts;

  # A path is the folder of a Unix socket.
  isHere = host: lib.elem (nameOf host) thisMachine || lib.hasPrefix "/" host;

  # Whether the server that runs here was given a certificate, which is not this module's business.
  speaksTls = {
    database = lib.elem (config.services.postgresql.settings.ssl or false) [
      true
      "on"
    ];
    rabbitmq = lib.any (lib.hasPrefix "listeners.ssl.") (
      lib.attrNames config.services.rabbitmq.configItems
    );
  };

  certificateOf = {
    database = "services.postgresql.settings.ssl";
    rabbitmq = "services.rabbitmq.configItems.\"listeners.ssl.default\"";
  };

  forServer = server: [
    {
      assertion = cfg.${server}.createLocally -> lib.any isHere (hostsOf server);
      message = "${option "${server}.createLocally"} makes a server on this machine, but ${option "${server}.host"} names another one.";
    }
    {
      assertion =
        cfg.${server}.createLocally && lib.length (hostsOf server) > 1
        -> cfg.${server}.passwordFile != null;
      message = "${option "${server}.passwordFile"} has to be set where ${option "${server}.host"} names several servers: a random password would be another one on each.";
    }
    {
      assertion = cfg.${server}.createLocally && cfg.${server}.tls.enable -> speaksTls.${server};
      message = "${option "${server}.tls.enable"}: the server that ${option "${server}.createLocally"} makes has no certificate. Give it one (${certificateOf.${server}}).";
    }
    {
      assertion = cfg.${server}.tls.caFile != null -> cfg.${server}.tls.enable;
      message = "${option "${server}.tls.caFile"} is of no use without ${option "${server}.tls.enable"}.";
    }
    {
      assertion = cfg.${server}.createLocally || cfg.${server}.passwordFile != null;
      message = "${option "${server}.passwordFile"} has to be set, or ${option "${server}.createLocally"}.";
    }
    {
      assertion = !(cfg.settings.${server} ? password || cfg.settings.${server} ? password_file);
      message = "${option "settings.${server}.password"} would be in the store, where everybody can read it. Use ${option "${server}.passwordFile"}.";
    }
  ];

  forOwnAccounts =
    server:
    lib.mapAttrsToList (role: file: {
      assertion =
        cfg.${server}.ownAccounts
        -> file != null || (cfg.${server}.createLocally && cfg.${server}.passwordFile == null);
      message = "${option "${server}.ownPasswordFiles.${role}"} has to be set with ${option "${server}.ownAccounts"}, unless all passwords on this machine are random.";
    }) cfg.${server}.ownPasswordFiles;

  forHttpService = service: {
    assertion = cfg.${service}.openFirewall -> !lib.elem cfg.${service}.address loopback;
    message = "${option "${service}.openFirewall"} is of no use while ${option "${service}.address"} is a loopback address.";
  };

  # What the name of a unit may hold as it is.
  forName = kind: name: {
    assertion = lib.match "[a-zA-Z0-9_.:-]{1,64}" name != null;
    message = "${option "${kind}.${name}"}: a name has 1 to 64 letters, digits, underscores, dashes, full stops and colons.";
  };

  sameAsAnother =
    setting:
    lib.any
      (
        service:
        cfg.${service}.enable
        && cfg.${service}.${setting} != null
        && cfg.${service}.${setting} == cfg.webGateway.${setting}
      )
      [
        "orderService"
        "trackingService"
      ];

  # Beside those of the HTTP services, which their sockets have.
  ownPorts =
    lib.attrValues cfg.metricsPorts
    ++ lib.filter (port: port != null) (
      lib.mapAttrsToList (_: cook: cook.stationPort) cfg.kitchenWorkers
    );

  bothHttpServices = cfg.orderService.enable && cfg.trackingService.enable;
in
{
  config.assertions = lib.mkIf cfg.enable (
    forServer "database"
    ++ forServer "rabbitmq"
    ++ forOwnAccounts "database"
    ++ forOwnAccounts "rabbitmq"
    ++ map (forName "kitchenWorkers") (lib.attrNames cfg.kitchenWorkers)
    ++ map (forName "notificationSubscribers") (lib.attrNames cfg.notificationSubscribers)
    ++ [
      (forHttpService "orderService")
      (forHttpService "trackingService")
      (forHttpService "webGateway")
      {
        assertion = cfg.webGateway.enable -> !sameAsAnother "port";
        message = "${option "webGateway.port"} is that of another service.";
      }
      {
        assertion = cfg.webGateway.enable -> !sameAsAnother "virtualHost";
        message = "${option "webGateway.virtualHost"} is that of another service, but their paths overlap.";
      }
      {
        assertion = lib.allUnique ownPorts;
        message = "${option "kitchenWorkers.<name>.metricsPort"}, stationPort and ${option "notificationSubscribers.<name>.metricsPort"} name a port twice, counted from ${option "monitoring.firstPort"}.";
      }
      {
        assertion =
          cfg.monitoring.enable
          -> cfg.orderService.enable || cfg.trackingService.enable || cfg.monitoring.targets != [ ];
        message = "${option "monitoring.enable"} wants a service that shows the state of the house, here or among ${option "monitoring.targets"}.";
      }
      {
        assertion = !((cfg.settings.staff or { }) ? token_file);
        message = "${option "settings.staff.token_file"} could not be read by the services. Use ${option "staffTokenFile"}.";
      }
      {
        assertion = !((cfg.settings.staff or { }) ? accounts_file);
        message = "${option "settings.staff.accounts_file"} could not be read by the services. Use ${option "staffAccountsFile"}.";
      }
      {
        assertion = bothHttpServices -> cfg.orderService.port != cfg.trackingService.port;
        message = "${option "orderService.port"} and ${option "trackingService.port"} are the same.";
      }
      {
        assertion =
          bothHttpServices && cfg.orderService.virtualHost != null
          -> cfg.orderService.virtualHost != cfg.trackingService.virtualHost;
        message = "${option "orderService.virtualHost"} and ${option "trackingService.virtualHost"} are the same, but their paths overlap.";
      }
    ]
  );
}
