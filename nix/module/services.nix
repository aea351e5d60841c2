# The roles: the package's own units, with what this configuration adds to them.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib)
    mapAttrs'
    mapAttrsToList
    mkIf
    nameValuePair
    optional
    ;

  cfg = config.services.restaurant-system;

  target = "restaurant-system.target";

  gatewayHost = if cfg.webGateway.enable then cfg.webGateway.virtualHost else null;

  inherit (cfg) credentials httpServices;

  # The servers on which a role has an account of its own.
  ownServers =
    role: lib.attrNames (lib.filterAttrs (_: users: users ? ${toString role}) cfg.ownUsers);

  # There it has a password of its own.
  credentialOf =
    role: name:
    if lib.elem (lib.removeSuffix "-password" name) (ownServers role) then
      credentials."${role}-${name}"
    else
      credentials.${name};

  # Nothing where it is off, so that `settings` may say it as well.
  tlsOf =
    server:
    let
      inherit (cfg.${server}) tls;
    in
    lib.optionalAttrs tls.enable {
      tls = {
        enabled = true;
      }
      # A path that is not a string is copied to the store: a certificate is no secret.
      // lib.optionalAttrs (tls.caFile != null) { ca_file = "${tls.caFile}"; };
    };

  configFile =
    let
      file = (pkgs.formats.yaml { }).generate "config.yaml" cfg.settings;
    in
    if pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform then
      pkgs.runCommand "restaurant-system-config.yaml" { } ''
        ${lib.getExe cfg.package} check-config --without-files --config ${file}
        cp ${file} $out
      ''
    else
      file;

  # A file of a name of its own beside the unit, for two reasons. One for a template is for the cooks of the moment
  # as well. And what `systemd.services` makes is always called overrides.conf: that of an instance would hide that of
  # its template, because systemd reads only the nearest of several files with one name.
  dropIn =
    unit: priority: sections:
    pkgs.writeTextDir "lib/systemd/system/${unit}.service.d/${toString priority}-nixos.conf" (
      lib.generators.toINI { listsAsDuplicateKeys = true; } sections
    );

  # What each of these units gets, and what a deployment does to it. `X-StopIfChanged=false`: a service that changes is
  # restarted, with its socket open all the while. If it were stopped and started, as is usual, the socket would be closed
  # as well.
  common =
    {
      secrets,
      role ? null,
      environment ? [ ],
      whenChanged ? {
        X-StopIfChanged = false;
      },
    }:
    {
      Unit = {
        Wants = cfg.setupUnits;
        After = cfg.setupUnits;
        X-Restart-Triggers = [ configFile ];
      };
      Service = {
        LoadCredential = map (name: "${name}:${credentialOf role name}") secrets;
        Environment =
          map (server: "RESTAURANT_${lib.toUpper server}_USER=${cfg.ownUsers.${server}.${role}}") (
            ownServers role
          )
          ++ environment;
        # The empty one clears the list of the package's unit.
        IPAddressAllow = [ "" ] ++ cfg.reachableAddresses;
      }
      // whenChanged;
    };

  bothPasswords = [
    "database-password"
    "rabbitmq-password"
  ];

  # By what the staff are known.
  staffSecrets =
    optional (credentials ? staff-token) "staff-token"
    ++ optional (credentials ? staff-accounts) "staff-accounts";

  staffEnvironment =
    optional (credentials ? staff-token) "RESTAURANT_STAFF_TOKEN_FILE=%d/staff-token"
    ++ optional (credentials ? staff-accounts) "RESTAURANT_STAFF_ACCOUNTS_FILE=%d/staff-accounts";

  forHttp =
    role: environment:
    common {
      inherit role;
      secrets = bothPasswords ++ staffSecrets;
      environment = environment ++ staffEnvironment;
    };

  templates = [
    (dropIn "kitchen-worker@" 10 (common {
      role = "kitchen-worker";
      secrets = bothPasswords;
    }))
    (dropIn "notification-subscriber@" 10 (common {
      role = "notification-subscriber";
      secrets = [ "rabbitmq-password" ];
    }))
  ];

  # Left alone by a deployment, because systemd would start it only after every cook had finished its orders, and the
  # order service after it.
  migrate = dropIn "restaurant-system-migrate" 10 (common {
    secrets = [ "database-password" ];
    whenChanged.X-RestartIfChanged = false;
  });

  # The same once more for a deployment, in no order with the roles: they wait for the schema by themselves.
  upgrade = [
    (pkgs.runCommand "restaurant-system-upgrade-unit" { } ''
      mkdir --parents $out/lib/systemd/system
      cp ${cfg.package}/lib/systemd/system/restaurant-system-migrate.service \
        $out/lib/systemd/system/restaurant-system-upgrade.service
    '')
    (dropIn "restaurant-system-upgrade" 10 (common {
      secrets = [ "database-password" ];
    }))
  ];

  # Of a unit that shows its metrics.
  metricsEnvironment =
    unit:
    lib.optionals (cfg.metricsPorts ? ${unit}) [
      "RESTAURANT_METRICS_HOST=${cfg.metricsAddress}"
      "RESTAURANT_METRICS_PORT=${toString cfg.metricsPorts.${unit}}"
    ];

  # The ports on which it listens beside its socket's.
  listening =
    ports:
    lib.optionalAttrs (ports != [ ]) { SocketBindAllow = map (port: "tcp:${toString port}") ports; };

  subscribers = lib.concatMap (
    name:
    let
      unit = "notification-subscriber@${name}";
    in
    optional (cfg.metricsPorts ? ${unit}) (
      dropIn unit 20 {
        Service = {
          Environment = metricsEnvironment unit;
        }
        // listening [ cfg.metricsPorts.${unit} ];
      }
    )
  ) (lib.attrNames cfg.notificationSubscribers);

  cooks = mapAttrsToList (
    name: cook:
    dropIn "kitchen-worker@${name}" 20 {
      Service = {
        Environment = [
          "RESTAURANT_PREFETCH=${toString cook.prefetch}"
          "RESTAURANT_HEARTBEAT_INTERVAL=${toString cook.heartbeatInterval}"
        ]
        ++ metricsEnvironment "kitchen-worker@${name}"
        ++ optional (
          cook.orderTypes != null
        ) "RESTAURANT_ORDER_TYPES=${lib.concatStringsSep "," cook.orderTypes}"
        ++ lib.optionals (cook.stationPort != null) (
          [
            "RESTAURANT_COOKING=manual"
            "RESTAURANT_PORT=${toString cook.stationPort}"
          ]
          ++ staffEnvironment
        );
      }
      // listening (
        optional (cook.stationPort != null) cook.stationPort
        ++ optional (cfg.metricsPorts ? "kitchen-worker@${name}") cfg.metricsPorts."kitchen-worker@${name}"
      )
      // lib.optionalAttrs (cook.stationPort != null) {
        LoadCredential = map (secret: "${secret}:${credentials.${secret}}") staffSecrets;
      };
    }
  ) cfg.kitchenWorkers;
in
{
  config = mkIf cfg.enable {
    services.restaurant-system.settings = {
      database = {
        inherit (cfg.database) host port user;
        database = cfg.database.name;
      }
      // tlsOf "database";
      # nginx and the gateway, which hold connections for many and say for whom.
      http =
        mkIf
          (
            cfg.webGateway.enable
            || lib.any (service: service.virtualHost != null) (lib.attrValues httpServices)
          )
          {
            trusted_proxies = lib.mkDefault [
              "127.0.0.1"
              "::1"
            ];
          };
      restaurant = mkIf (gatewayHost != null) {
        public_url = lib.mkDefault "https://${gatewayHost}";
      };
      # As many as the gateway passes on.
      tracking = mkIf cfg.webGateway.enable {
        max_event_streams = lib.mkDefault 2500;
      };
      rabbitmq = {
        inherit (cfg.rabbitmq)
          host
          port
          user
          vhost
          ;
      }
      // lib.optionalAttrs (cfg.rabbitmq.queueType != "classic") {
        queue_type = cfg.rabbitmq.queueType;
      }
      // tlsOf "rabbitmq";
    };

    environment = {
      systemPackages = [ cfg.package ];
      etc."restaurant-system/config.yaml".source = configFile;
    };

    systemd = {
      packages = [
        cfg.package
        migrate
        (dropIn "order-service" 10 (
          forHttp "order-service" [
            "RESTAURANT_MAX_CONCURRENT=${toString cfg.orderService.maxConcurrent}"
          ]
        ))
        (dropIn "tracking-service" 10 (forHttp "tracking-service" [ ]))
        (dropIn "web-gateway" 10 (common {
          secrets = [ ];
          environment = [
            "RESTAURANT_ORDER_URL=${cfg.webGateway.orderUrl}"
            "RESTAURANT_TRACKING_URL=${cfg.webGateway.trackingUrl}"
          ];
        }))
      ]
      ++ upgrade
      ++ templates
      ++ cooks
      ++ subscribers;

      # What a package says under [Install] counts for nothing here.
      targets.restaurant-system = {
        wantedBy = [ "multi-user.target" ];
        wants = [
          "restaurant-system-migrate.service"
          "restaurant-system-upgrade.service"
        ]
        ++ map (name: "${name}.service") (lib.attrNames httpServices)
        ++ map (name: "kitchen-worker@${name}.service") (lib.attrNames cfg.kitchenWorkers)
        ++ map (name: "notification-subscriber@${name}.service") (
          lib.attrNames cfg.notificationSubscribers
        );
      };

      sockets = lib.mapAttrs (_: service: {
        wantedBy = [ target ];
        # The empty one clears the list of the package's unit.
        listenStreams = [
          ""
          "${service.address}:${toString service.port}"
        ];
        # It may be an address that is not there yet when the machine starts.
        socketConfig.FreeBind = true;
      }) httpServices;
    };

    networking.firewall.allowedTCPPorts = mapAttrsToList (_: service: service.port) (
      lib.filterAttrs (_: service: service.openFirewall) httpServices
    );

    services.nginx =
      let
        proxied = lib.filterAttrs (_: service: service.virtualHost != null) httpServices;
        forwarded = service: {
          proxyPass = "http://${service.address}:${toString service.port}";
          recommendedProxySettings = true;
          # Live events are passed on as they come, for as long as somebody listens.
          extraConfig = ''
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 1h;
          '';
        };
      in
      mkIf (proxied != { }) {
        enable = true;
        # Without the query, in which a table's token is.
        commonHttpConfig = mkIf (gatewayHost != null) ''
          log_format restaurant '$remote_addr [$time_local] "$request_method $uri $server_protocol" $status $body_bytes_sent';
        '';
        virtualHosts = mapAttrs' (
          name: service:
          nameValuePair service.virtualHost (
            {
              locations = {
                "/" = forwarded service;
                # For the operator only.
                "= /metrics".return = "404";
              }
              // lib.optionalAttrs (name == "web-gateway") {
                # An order's token is in the path.
                "/t/" = forwarded service // {
                  extraConfig = (forwarded service).extraConfig + ''
                    access_log off;
                  '';
                };
              };
            }
            // lib.optionalAttrs (name == "web-gateway") {
              enableACME = lib.mkDefault true;
              forceSSL = lib.mkDefault true;
              extraConfig = ''
                access_log /var/log/nginx/access.log restaurant;
                # An error's line has the request, with its token. What is wrong with the gateway is in the gateway's log.
                error_log stderr emerg;
              '';
            }
          )
        ) proxied;
      };
  };
}
