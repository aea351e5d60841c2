# What can be set.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkEnableOption mkOption types;

  cfg = config.services.restaurant-system;

  format = pkgs.formats.yaml { };

  httpService =
    { what, port }:
    {
      enable = mkEnableOption "the service that ${what}" // {
        default = true;
      };

      address = mkOption {
        type = types.str;
        default = "127.0.0.1";
        example = "[::]";
        description = "Address on which it listens; an IPv6 address stands in brackets.";
      };

      port = mkOption {
        type = types.port;
        default = port;
        description = "Port on which it listens.";
      };

      openFirewall = mkEnableOption "the port in the firewall";

      virtualHost = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "orders.example.org";
        description = ''
          Name of the nginx virtual host that forwards to it, or null for none. TLS is set up there:
          {option}`services.nginx.virtualHosts.<name>.enableACME` and `forceSSL`.
        '';
      };
    };

  passwordFile =
    server:
    mkOption {
      type = types.nullOr types.externalPath;
      default = null;
      example = "/run/secrets/restaurant-${server}";
      description = ''
        File with the password, readable by root; the services get it as a systemd credential. With
        {option}`services.restaurant-system.${server}.createLocally` on one machine it may be null: then a random password
        is made and kept in {file}`/var/lib/restaurant-system`.
      '';
    };

  host = mkOption {
    type = types.either types.str (types.nonEmptyListOf types.str);
    default = "localhost";
    example = [
      "server1"
      "server2:1234"
    ];
    description = ''
      Host of the server, or all hosts of a cluster or of a primary and its standbys. They are tried in turn; of several
      PostgreSQL servers the one that takes writes is used.
    '';
  };

  ownPasswordFiles =
    server: roles:
    lib.genAttrs roles (
      role:
      mkOption {
        type = types.nullOr types.externalPath;
        default = null;
        example = "/run/secrets/restaurant-${server}-${role}";
        description = "File with the password of the account of its own, as {option}`passwordFile` has that of {option}`user`.";
      }
    );

  tls = {
    enable = mkEnableOption "TLS to the server";

    caFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/etc/ssl/restaurant-ca.pem";
      description = ''
        PEM file with the certificates of the authorities to trust, readable by everybody; null for the public ones. The
        server's certificate has to be for the name in {option}`host`.
      '';
    };
  };

  positiveSeconds = types.addCheck (types.either types.int types.float) (seconds: seconds > 0);

  metricsPort = mkOption {
    type = types.nullOr types.port;
    default = null;
    example = 9101;
    description = ''
      Port of {option}`services.restaurant-system.metricsAddress` with its metrics and health, or null: then it has one with
      {option}`services.restaurant-system.monitoring.enable` alone.
    '';
  };

  kitchenWorker.options = {
    inherit metricsPort;

    orderTypes = mkOption {
      type = types.nullOr (
        types.nonEmptyListOf (
          types.enum [
            "dine_in"
            "takeout"
            "delivery"
          ]
        )
      );
      default = null;
      example = [ "dine_in" ];
      description = "What this cook cooks, or null for everything.";
    };

    prefetch = mkOption {
      type = types.ints.between 1 65535;
      default = 1;
      description = "Orders that it cooks at once.";
    };

    heartbeatInterval = mkOption {
      type = positiveSeconds;
      default = 30;
      description = "Seconds between two signs of life. After two without one its orders are taken over.";
    };

    stationPort = mkOption {
      type = types.nullOr types.port;
      default = null;
      example = 3001;
      description = ''
        Port of 127.0.0.1 on which it serves a station, where persons say what is ready; null for a simulated cook. The
        staff are those of {option}`staffAccountsFile` and {option}`staffTokenFile`.
      '';
    };
  };
in
{
  options.services.restaurant-system = {
    enable = mkEnableOption "the restaurant order management system";

    package = lib.mkPackageOption pkgs "restaurant-system" { };

    settings = mkOption {
      type = types.submodule { freeformType = format.type; };
      default = { };
      example = {
        kitchen.cook_seconds.delivery = 20;
        log.level = "debug";
      };
      description = ''
        The configuration, {file}`/etc/restaurant-system/config.yaml`; {file}`config.example.yaml` of the package has every
        key. It is checked when the system is built. Everybody can read it: passwords have options of their own.
      '';
    };

    reachableAddresses = mkOption {
      type = types.listOf types.str;
      default =
        let
          isHere = host: lib.match "localhost(:.*)?|127\\..*|\\[::1](:.*)?|::1|/.*" host != null;
          services = lib.optionals cfg.webGateway.enable [
            cfg.webGateway.orderUrl
            cfg.webGateway.trackingUrl
          ];
          hosts =
            lib.toList cfg.database.host
            ++ lib.toList cfg.rabbitmq.host
            ++ map (lib.removePrefix "http://") services;
        in
        if lib.all isHere hosts then [ "localhost" ] else [ "any" ];
      defaultText = lib.literalMD "`[ \"localhost\" ]` where both servers, and the services behind the web gateway, are on this machine, else `[ \"any\" ]`";
      example = [
        "localhost"
        "10.0.0.0/24"
      ];
      description = ''
        Addresses that the roles may talk to ({option}`IPAddressAllow=` in systemd.resource-control(5)). Who may talk to the
        HTTP services is a matter of their sockets and of the firewall.
      '';
    };

    staffTokenFile = mkOption {
      type = types.nullOr types.externalPath;
      default = null;
      example = "/run/secrets/restaurant-staff-token";
      description = ''
        File with the token with which programs make the calls that are for staff (cancelling, handing over, lists of orders),
        of 32 characters or more, readable by root. Without it and without accounts those calls are off.
      '';
    };

    staffAccountsFile = mkOption {
      type = types.nullOr types.externalPath;
      default = null;
      example = "/run/secrets/restaurant-staff-accounts";
      description = ''
        YAML file with the accounts of the staff: `name`, `role` and `password_hash` of each, readable by root. Their passwords
        are hashed by `restaurant-system staff hash`. A change takes effect with a restart of the HTTP services.
      '';
    };

    orderService =
      httpService {
        what = "takes orders";
        port = 3000;
      }
      // {
        maxConcurrent = mkOption {
          type = types.ints.between 1 65535;
          default = 50;
          description = "Orders being taken at once; more wait briefly and are then answered with 503.";
        };
      };

    trackingService = httpService {
      what = "says where orders are";
      port = 3002;
    };

    webGateway =
      httpService {
        what = "has the pages for customers and staff";
        port = 8080;
      }
      // {
        enable = mkEnableOption "the web gateway, which has the pages for customers and staff";

        virtualHost = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "pizza.example.org";
          description = ''
            Name of the nginx virtual host that forwards to it, or null for none. It is served over TLS alone, with a
            certificate by ACME unless {option}`services.nginx.virtualHosts.<name>` says otherwise. The addresses in links
            to orders begin with it.
          '';
        };

        orderUrl = mkOption {
          type = types.strMatching "http://.*";
          default = "http://127.0.0.1:${toString cfg.orderService.port}";
          defaultText = lib.literalMD "the order service of this machine";
          example = "http://10.0.0.2:3000";
          description = "The order service, which is to trust this machine as a proxy (`http.trusted_proxies`).";
        };

        trackingUrl = mkOption {
          type = types.strMatching "http://.*";
          default = "http://127.0.0.1:${toString cfg.trackingService.port}";
          defaultText = lib.literalMD "the tracking service of this machine";
          example = "http://10.0.0.2:3002";
          description = "The tracking service, likewise.";
        };
      };

    kitchenWorkers = mkOption {
      type = types.attrsOf (types.submodule kitchenWorker);
      default = { };
      example = {
        chef_anna = { };
        chef_mario.orderTypes = [ "dine_in" ];
      };
      description = ''
        The cooks that belong to this machine, by name. Others can be started beside them at any time:
        {command}`systemctl start kitchen-worker@chef_luigi`.
      '';
    };

    notificationSubscribers = mkOption {
      type = types.attrsOf (types.submodule { options = { inherit metricsPort; }; });
      default = { };
      example = {
        counter = { };
      };
      description = "Those who write every change of an order to the journal, by name; each has a queue of that name.";
    };

    database = {
      createLocally = mkEnableOption "a PostgreSQL server on this machine, with the role and the database";

      inherit host tls;

      port = mkOption {
        type = types.port;
        default = if cfg.database.createLocally then config.services.postgresql.settings.port else 5432;
        defaultText = lib.literalMD "that of the local server, else 5432";
        description = "Port of hosts that do not name one.";
      };

      name = mkOption {
        type = types.str;
        default = "restaurant";
        description = "The database.";
      };

      user = mkOption {
        type = types.str;
        default = "restaurant";
        description = "The role that owns it; the accounts of the services are called after it.";
      };

      passwordFile = passwordFile "database";

      ownAccounts = mkOption {
        type = types.bool;
        default = cfg.database.createLocally && cfg.database.passwordFile == null;
        defaultText = lib.literalMD "on where the passwords on this machine are random";
        description = ''
          Whether the order service, the tracking service and the cooks log in with accounts of their own, which may do no
          more than they need, in place of the owner's: {file}`OPERATIONS.md`, "Accounts in PostgreSQL". With
          {option}`createLocally` they are made. Elsewhere they are to be there: the name of {option}`user` with
          `_order_service`, `_tracking_service` and `_kitchen_worker`.
        '';
      };

      ownPasswordFiles = ownPasswordFiles "database" [
        "order-service"
        "tracking-service"
        "kitchen-worker"
      ];
    };

    rabbitmq = {
      createLocally = mkEnableOption "a RabbitMQ server on this machine, with the user and the virtual host";

      inherit host tls;

      port = mkOption {
        type = types.port;
        default =
          if cfg.rabbitmq.tls.enable then
            5671
          else if cfg.rabbitmq.createLocally then
            config.services.rabbitmq.port
          else
            5672;
        defaultText = lib.literalMD "5671 with TLS, else that of the local server, else 5672";
        description = "Port of hosts that do not name one.";
      };

      user = mkOption {
        type = types.str;
        default = "restaurant";
        description = "The user; those of the roles are called after it.";
      };

      vhost = mkOption {
        type = types.str;
        default = "/";
        description = "The virtual host, in RabbitMQ's sense.";
      };

      queueType = mkOption {
        type = types.enum [
          "classic"
          "quorum"
        ];
        default = "classic";
        description = ''
          The kind of queue that is declared: on one node with ten priorities, or replicated over the nodes of a cluster
          without them. Queues that are there keep their kind.
        '';
      };

      passwordFile = passwordFile "rabbitmq";

      ownAccounts = mkOption {
        type = types.bool;
        default = cfg.rabbitmq.createLocally && cfg.rabbitmq.passwordFile == null;
        defaultText = lib.literalMD "on where the passwords on this machine are random";
        description = ''
          Whether each role logs in as a user of its own, which may do no more than it needs: {file}`OPERATIONS.md`,
          "Accounts in RabbitMQ". With {option}`createLocally` they are made. Elsewhere they are to be there: the name of
          {option}`user` with `_order_service`, `_tracking_service`, `_kitchen_worker` and `_notification_subscriber`.
          {option}`user` keeps all rights, for operators.
        '';
      };

      ownPasswordFiles = ownPasswordFiles "rabbitmq" [
        "order-service"
        "tracking-service"
        "kitchen-worker"
        "notification-subscriber"
      ];
    };
  };
}
