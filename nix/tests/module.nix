# What the module makes of configurations, without a machine: the units are read by systemd, and contradictions are
# refused with the right words.
{
  lib,
  pkgs,
  restaurant-system,
  module,
}:

let
  evaluateModules =
    modules:
    lib.nixosSystem {
      modules = modules ++ [
        module
        {
          nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system;
          system.stateVersion = lib.trivial.release;
          security.acme = {
            acceptTerms = true;
            defaults.email = "admin@example.org";
          };
          boot.loader.grub.enable = false;
          fileSystems."/" = {
            device = "none";
            fsType = "tmpfs";
          };
          services.restaurant-system = {
            enable = true;
            package = restaurant-system;
          };
        }
      ];
    };

  evaluate = settings: evaluateModules [ { services.restaurant-system = settings; } ];

  # The examples of docs/NIXOS.md with several machines, each for each of them.
  machineOf =
    example: hostName:
    lib.nameValuePair "${lib.replaceStrings [ "-" ] [ "_" ] example}_${hostName}" (evaluateModules [
      ../examples/${example}.nix
      { networking = { inherit hostName; }; }
    ]);

  machines = lib.listToAttrs (
    map (machineOf "two-machines") [
      "one"
      "two"
    ]
    ++ map (machineOf "three-machines") [
      "one"
      "two"
      "three"
    ]
  );

  # As in docs/NIXOS.md.
  oneMachine = {
    database.createLocally = true;
    rabbitmq.createLocally = true;
    kitchenWorkers.chef_anna = { };
    kitchenWorkers.chef_mario.orderTypes = [
      "dine_in"
      "takeout"
    ];
    notificationSubscribers.counter = { };
  };

  elsewhere = {
    database = {
      host = [
        "db1"
        "db2:5433"
      ];
      passwordFile = "/run/secrets/database";
    };
    rabbitmq = {
      host = "broker";
      passwordFile = "/run/secrets/rabbitmq";
    };
  };

  encrypted = lib.recursiveUpdate elsewhere {
    database.tls.enable = true;
    rabbitmq = {
      queueType = "quorum";
      tls = {
        enable = true;
        caFile = "/etc/ssl/restaurant-ca.pem";
      };
    };
  };

  rabbitmqRoles = [
    "order-service"
    "tracking-service"
    "kitchen-worker"
    "notification-subscriber"
  ];

  accepted = {
    inherit encrypted oneMachine;
    sockets = lib.recursiveUpdate oneMachine {
      database.host = "/run/postgresql";
      rabbitmq.host = "localhost:5672";
    };
    kitchenOnly = elsewhere // {
      orderService.enable = false;
      trackingService.enable = false;
      kitchenWorkers.chef_luigi = {
        prefetch = 4;
        heartbeatInterval = 2.5;
      };
      staffAccountsFile = "/run/secrets/accounts";
      kitchenWorkers.grill = {
        prefetch = 12;
        stationPort = 3001;
      };
    };
    withPages = oneMachine // {
      webGateway = {
        enable = true;
        virtualHost = "pizza.example.org";
      };
      settings.restaurant.name = "Da Ada";
    };
    watched = oneMachine // {
      monitoring.enable = true;
      kitchenWorkers.chef_anna = { };
      kitchenWorkers.chef_mario.metricsPort = 9200;
      kitchenWorkers.grill.stationPort = 3001;
      orderService.address = "[::]";
    };
    frontOnly = elsewhere // {
      staffTokenFile = "/run/secrets/staff";
      staffAccountsFile = "/run/secrets/accounts";
      settings.kitchen.cook_seconds.delivery = 20;
      orderService = {
        address = "0.0.0.0";
        port = 8080;
        openFirewall = true;
      };
      trackingService.virtualHost = "track.example.org";
      rabbitmq = elsewhere.rabbitmq // {
        ownAccounts = true;
        ownPasswordFiles = lib.genAttrs rabbitmqRoles (role: "/run/secrets/${role}-rabbitmq");
      };
    };
  };

  # Each with a part of every message that it gets.
  refused = {
    nothingSaid = {
      settings = { };
      messages = [
        "database.passwordFile has to be set"
        "rabbitmq.passwordFile has to be set"
      ];
    };
    contradictions = {
      settings = {
        database = {
          createLocally = true;
          host = "db1";
        };
        rabbitmq.createLocally = true;
        settings = {
          rabbitmq.password = "secret";
          staff.token_file = "/etc/token";
        };
        orderService = {
          port = 3002;
          openFirewall = true;
          virtualHost = "example.org";
        };
        trackingService.virtualHost = "example.org";
        webGateway = {
          enable = true;
          port = 3002;
          virtualHost = "example.org";
        };
        kitchenWorkers."chef luigi".metricsPort = 3001;
        kitchenWorkers.grill.stationPort = 3001;
      };
      messages = [
        "database.host names another one"
        "settings.rabbitmq.password would be in the store"
        "settings.staff.token_file could not be read by the services"
        "orderService.openFirewall is of no use"
        "trackingService.port are the same"
        "trackingService.virtualHost are the same"
        "webGateway.port is that of another service"
        "webGateway.virtualHost is that of another service"
        "kitchenWorkers.chef luigi: a name has"
        "name a port twice"
      ];
    };
    passwordsMissing = {
      settings = lib.recursiveUpdate elsewhere {
        rabbitmq = {
          ownAccounts = true;
          ownPasswordFiles = lib.genAttrs (lib.tail rabbitmqRoles) (role: "/run/secrets/${role}");
        };
      };
      messages = [ "rabbitmq.ownPasswordFiles.order-service has to be set" ];
    };
    severalServers = {
      settings = {
        database = {
          createLocally = true;
          host = [
            "localhost"
            "db2"
          ];
          tls.enable = true;
        };
        rabbitmq = {
          createLocally = true;
          tls.caFile = "/etc/ssl/restaurant-ca.pem";
        };
      };
      messages = [
        "database.passwordFile has to be set where"
        "database.createLocally makes has no certificate"
        "rabbitmq.tls.caFile is of no use"
      ];
    };
  };

  # What a role reads of TLS and of several servers.
  settingsOf = name: systems.${name}.config.services.restaurant-system.settings;

  wanted = {
    encrypted = {
      database = {
        host = [
          "db1"
          "db2:5433"
        ];
        port = 5432;
        user = "restaurant";
        database = "restaurant";
        tls.enabled = true;
      };
      rabbitmq = {
        host = "broker";
        port = 5671;
        user = "restaurant";
        vhost = "/";
        queue_type = "quorum";
        tls = {
          enabled = true;
          ca_file = "/etc/ssl/restaurant-ca.pem";
        };
      };
    };
    three_machines_three = {
      database = {
        host = [
          "one"
          "two"
        ];
        port = 5432;
        user = "restaurant";
        database = "restaurant";
      };
      rabbitmq = {
        host = [
          "one"
          "two"
          "three"
        ];
        port = 5672;
        user = "restaurant";
        vhost = "/";
        queue_type = "quorum";
      };
    };
  };

  unwanted = lib.filterAttrs (name: settings: settingsOf name != settings) wanted;

  # What Prometheus scrapes, and with which rules.
  prometheus = systems.watched.config.services.prometheus;

  scraped = lib.concatMap (scrape: scrape.static_configs) prometheus.scrapeConfigs;

  wantedTargets = {
    "[::1]:3000" = "order-service";
    "127.0.0.1:3002" = "tracking-service";
    "127.0.0.1:9101" = "kitchen-worker chef_anna";
    "127.0.0.1:9200" = "kitchen-worker chef_mario";
    "127.0.0.1:3001" = "kitchen-worker grill";
    "127.0.0.1:9102" = "notification-subscriber counter";
  };

  targets = lib.listToAttrs (
    map (
      scrape:
      lib.nameValuePair (lib.head scrape.targets) (
        lib.concatStringsSep " " (
          [ scrape.labels.role ] ++ lib.optional (scrape.labels ? name) scrape.labels.name
        )
      )
    ) scraped
  );

  # Not even evaluated: the type says no.
  impossible = {
    inStore = lib.recursiveUpdate elsewhere {
      database.passwordFile = pkgs.writeText "password" "secret";
    };
    orderType = oneMachine // {
      kitchenWorkers.chef_anna.orderTypes = [ "dinein" ];
    };
    queueType = lib.recursiveUpdate oneMachine {
      rabbitmq.queueType = "mirrored";
    };
  };

  failures =
    system:
    map (failed: failed.message) (
      lib.filter (assertion: !assertion.assertion) system.config.assertions
    );

  systems = lib.mapAttrs (_: evaluate) accepted // machines;

  acceptedBadly = lib.filterAttrs (_: system: failures system != [ ]) systems;

  refusedBadly = lib.filterAttrs (
    _: case:
    let
      got = failures (evaluate case.settings);
      said = message: lib.any (lib.hasInfix message) got;
    in
    !lib.all said case.messages || lib.length got != lib.length case.messages
  ) refused;

  impossibleAccepted = lib.filterAttrs (
    _: settings: (builtins.tryEval (unitsOf (evaluate settings)).drvPath).success
  ) impossible;

  # The passwords are asked for, since the roles' users do not have the accounts' names.
  socketRule = ''local "restaurant" "restaurant","restaurant_kitchen_worker","restaurant_order_service","restaurant_tracking_service" scram-sha-256'';

  socketRuleMissing = lib.filterAttrs (
    name: system:
    lib.hasInfix socketRule system.config.services.postgresql.authentication != (name == "sockets")
  ) { inherit (systems) oneMachine sockets; };

  noneIn = what: set: lib.assertMsg (set == { }) "${what}: ${toString (lib.attrNames set)}";

  unitsOf = system: system.config.environment.etc."systemd/system".source;
in
assert noneIn "accepted configurations are refused" acceptedBadly;
assert noneIn "configurations are not refused with these words" refusedBadly;
assert noneIn "configurations give the roles other settings" unwanted;
assert lib.assertMsg (
  targets == wantedTargets
) "Prometheus scrapes ${toString (lib.attrNames targets)}";
assert lib.assertMsg (lib.length prometheus.ruleFiles == 1) "Prometheus has the alerts";
assert noneIn "PostgreSQL's rule for sockets is there or missing" socketRuleMissing;
assert noneIn "impossible configurations are accepted" impossibleAccepted;
pkgs.runCommand "restaurant-system-module"
  (
    {
      nativeBuildInputs = [ pkgs.systemd ];
    }
    // lib.mapAttrs (_: unitsOf) systems
  )
  ''
    has() { # folder file line: a drop-in of that configuration has this line
      grep --quiet --line-regexp --fixed-strings -- "$3" "$1/$2" || { echo "$2 has no line $3"; exit 1; }
    }
    has $oneMachine kitchen-worker@chef_mario.service.d/20-nixos.conf Environment=RESTAURANT_ORDER_TYPES=dine_in,takeout
    has $oneMachine kitchen-worker@.service.d/10-nixos.conf LoadCredential=database-password:/var/lib/restaurant-system/kitchen-worker-database-password
    has $oneMachine tracking-service.service.d/10-nixos.conf Environment=RESTAURANT_DATABASE_USER=restaurant_tracking_service
    has $oneMachine notification-subscriber@.service.d/10-nixos.conf Environment=RESTAURANT_RABBITMQ_USER=restaurant_notification_subscriber
    has $oneMachine notification-subscriber@.service.d/10-nixos.conf LoadCredential=rabbitmq-password:/var/lib/restaurant-system/notification-subscriber-rabbitmq-password
    has $oneMachine order-service.service.d/10-nixos.conf Environment=RESTAURANT_RABBITMQ_USER=restaurant_order_service
    has $frontOnly order-service.service.d/10-nixos.conf LoadCredential=rabbitmq-password:/run/secrets/order-service-rabbitmq
    has $oneMachine restaurant-system-upgrade.service.d/10-nixos.conf LoadCredential=database-password:/var/lib/restaurant-system/database-password
    has $kitchenOnly kitchen-worker@.service.d/10-nixos.conf LoadCredential=database-password:/run/secrets/database
    has $oneMachine kitchen-worker@.service.d/10-nixos.conf IPAddressAllow=localhost
    has $kitchenOnly kitchen-worker@.service.d/10-nixos.conf IPAddressAllow=any
    has $oneMachine rabbitmq.service CPUSchedulingPolicy=batch
    has $oneMachine order-service.service.d/10-nixos.conf X-StopIfChanged=false
    has $oneMachine restaurant-system-migrate.service.d/10-nixos.conf X-RestartIfChanged=false
    has $kitchenOnly kitchen-worker@chef_luigi.service.d/20-nixos.conf Environment=RESTAURANT_HEARTBEAT_INTERVAL=2.5
    has $kitchenOnly kitchen-worker@.service.d/10-nixos.conf LoadCredential=rabbitmq-password:/run/secrets/rabbitmq
    has $frontOnly order-service.socket.d/overrides.conf ListenStream=0.0.0.0:8080
    has $three_machines_two rabbitmq.service LoadCredential=cookie:/run/secrets/rabbitmq-cookie
    has $frontOnly tracking-service.service.d/10-nixos.conf LoadCredential=staff-token:/run/secrets/staff
    has $frontOnly order-service.service.d/10-nixos.conf LoadCredential=staff-accounts:/run/secrets/accounts

    has $withPages web-gateway.service.d/10-nixos.conf Environment=RESTAURANT_ORDER_URL=http://127.0.0.1:3000
    has $withPages web-gateway.socket.d/overrides.conf ListenStream=127.0.0.1:8080

    has $watched kitchen-worker@chef_anna.service.d/20-nixos.conf Environment=RESTAURANT_METRICS_PORT=9101
    has $watched kitchen-worker@chef_anna.service.d/20-nixos.conf SocketBindAllow=tcp:9101
    has $watched kitchen-worker@grill.service.d/20-nixos.conf SocketBindAllow=tcp:3001
    has $watched notification-subscriber@counter.service.d/20-nixos.conf SocketBindAllow=tcp:9102

    # systemd says what it does not understand, and ends with 0 all the same.
    for units in $oneMachine $sockets $kitchenOnly $frontOnly $withPages $watched $two_machines_two $three_machines_one; do
      SYSTEMD_UNIT_PATH=$units systemd-analyze verify --man=no restaurant-system.target restaurant-system-{migrate,upgrade}.service \
        {order,tracking}-service.{service,socket} web-gateway.{service,socket} kitchen-worker@{chef_anna,anyone}.service \
        notification-subscriber@counter.service 2>&1
    done | tee complaints
    if grep --extended-regexp 'restaurant-system|(order|tracking)-service|web-gateway|kitchen-worker|notification-subscriber' complaints; then
      exit 1
    fi
    touch $out
  ''
