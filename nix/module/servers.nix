# The servers on this machine, the accounts on them, and the passwords.
{
  config,
  lib,
  ...
}:

let
  inherit (lib)
    mkIf
    mkMerge
    mkOption
    optional
    types
    ;

  cfg = config.services.restaurant-system;

  stateDir = "/var/lib/restaurant-system";

  # Roles with an account of their own.
  ownRoles =
    server: lib.optionals cfg.${server}.ownAccounts (lib.attrNames cfg.${server}.ownPasswordFiles);

  # What is to have a password that nobody gave, on a server of this machine.
  withRandomPassword = lib.concatMap (
    server:
    lib.optionals cfg.${server}.createLocally (
      optional (cfg.${server}.passwordFile == null) server
      ++ map (role: "${role}-${server}") (
        lib.filter (role: cfg.${server}.ownPasswordFiles.${role} == null) (ownRoles server)
      )
    )
  ) servers;

  servers = [
    "database"
    "rabbitmq"
  ];

  credential =
    name: file:
    # `toString`, because a path that is not a string would be copied to the store.
    lib.nameValuePair "${name}-password" (
      if file == null then "${stateDir}/${name}-password" else toString file
    );

  # What a unit that makes the accounts is to load.
  ownCredentials =
    server: map (role: "${role}:${cfg.credentials."${role}-${server}-password"}") (ownRoles server);

  # The group that `migrate` grants to, and the account in it.
  ownDatabaseAccount = role: ''
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
      --set=group=restaurant_${lib.head (lib.splitString "-" role)} \
      --set=role=${lib.escapeShellArg cfg.ownUsers.database.${role}} <<'EOF'
    \set password `cat "$CREDENTIALS_DIRECTORY/${role}"`
    select format('create role %I nologin', :'group')
    where not exists (select from pg_roles where rolname = :'group') \gexec
    select format('create role %I login in role %I', :'role', :'group')
    where not exists (select from pg_roles where rolname = :'role') \gexec
    alter role :"role" password :'password';
    EOF
  '';

  # To configure, to write and to read: docs/OPERATIONS.md, "Accounts in RabbitMQ".
  rabbitmqRights = {
    order-service = [
      "^(orders_topic|notifications_fanout|orders_announced_mark|kitchen_(dine_in|takeout|delivery)_queue|notifications_queue)$"
      "^(orders_topic|notifications_fanout|amq\\.default|kitchen_(dine_in|takeout|delivery)_queue|notifications_queue)$"
      "^(orders_topic|notifications_fanout)$"
    ];
    kitchen-worker = [
      "^(kitchen_worker\\..*|kitchen_(dine_in|takeout|delivery)_queue|orders_dead_letter|kitchen_dead_letters)$"
      "^(orders_topic|notifications_fanout|orders_dead_letter|amq\\.default|kitchen_(dine_in|takeout|delivery)_queue|kitchen_dead_letters)$"
      "^(kitchen_worker\\..*|kitchen_(dine_in|takeout|delivery)_queue|orders_topic|orders_dead_letter)$"
    ];
    notification-subscriber = [
      "^(notifications_queue(\\..*)?|notification_subscriber\\..*)$"
      "^(notifications_queue(\\..*)?|orders_dead_letter)$"
      "^(notifications_queue(\\..*)?|notification_subscriber\\..*|notifications_fanout)$"
    ];
    tracking-service = [
      "^amq\\.gen-.*$"
      "^amq\\.gen-.*$"
      "^(amq\\.gen-.*|notifications_fanout)$"
    ];
  };

  ownRabbitmqAccount =
    role:
    "account ${
      lib.escapeShellArgs (
        [
          cfg.ownUsers.rabbitmq.${role}
          role
        ]
        ++ rabbitmqRights.${role}
      )
    }\n";

  oneshot = {
    Type = "oneshot";
    RemainAfterExit = true;
  };

  passwords = "restaurant-system-passwords.service";
in
{
  options.services.restaurant-system = {
    credentials = mkOption {
      type = types.attrsOf types.str;
      internal = true;
      readOnly = true;
      description = "The file of each secret, by the name of its credential.";
    };

    ownUsers = mkOption {
      type = types.attrsOf (types.attrsOf types.str);
      internal = true;
      readOnly = true;
      description = "On each server, the account of each role that has one of its own.";
    };

    setupUnits = mkOption {
      type = types.listOf types.str;
      internal = true;
      readOnly = true;
      description = "What is to be done on this machine before a role can work.";
    };
  };

  config = mkMerge [
    {
      services.restaurant-system = {
        credentials =
          lib.listToAttrs (
            map (server: credential server cfg.${server}.passwordFile) servers
            ++ lib.concatMap (
              server:
              map (role: credential "${role}-${server}" cfg.${server}.ownPasswordFiles.${role}) (ownRoles server)
            ) servers
          )
          // lib.optionalAttrs (cfg.staffTokenFile != null) { staff-token = toString cfg.staffTokenFile; }
          // lib.optionalAttrs (cfg.staffAccountsFile != null) {
            staff-accounts = toString cfg.staffAccountsFile;
          };

        ownUsers = lib.genAttrs servers (
          server:
          lib.genAttrs (ownRoles server) (
            role: "${cfg.${server}.user}_${lib.replaceStrings [ "-" ] [ "_" ] role}"
          )
        );

        setupUnits =
          optional (withRandomPassword != [ ]) passwords
          ++ optional cfg.database.createLocally "restaurant-system-database.service"
          ++ optional cfg.rabbitmq.createLocally "restaurant-system-rabbitmq.service";
      };
    }

    (mkIf (cfg.enable && withRandomPassword != [ ]) {
      systemd.services.restaurant-system-passwords = {
        description = "Restaurant: makes the passwords of the servers on this machine";
        serviceConfig = oneshot // {
          StateDirectory = baseNameOf stateDir;
          StateDirectoryMode = "0700";
          UMask = "0077";
        };
        # In two steps, so that there is never half a password.
        script = ''
          for name in ${toString withRandomPassword}; do
            file=$STATE_DIRECTORY/$name-password
            if [ ! -s "$file" ]; then
              head --bytes=32 /dev/urandom | base64 > "$file.new"
              mv "$file.new" "$file"
            fi
          done
        '';
      };
    })

    (mkIf (cfg.enable && cfg.database.createLocally) {
      services.postgresql = {
        enable = true;
        ensureUsers = [ { name = cfg.database.user; } ];
        # NixOS goes by the user of the process there, and the roles' users have other names.
        authentication = mkIf (lib.any (lib.hasPrefix "/") (lib.toList cfg.database.host)) ''
          local "${cfg.database.name}" ${
            lib.concatMapStringsSep "," (user: "\"${user}\"") (
              [ cfg.database.user ] ++ lib.attrValues cfg.ownUsers.database
            )
          } scram-sha-256
        '';
      };

      systemd.services.restaurant-system-database = {
        description = "Restaurant: makes its PostgreSQL database and the accounts with their passwords";
        requires = [ "postgresql.target" ];
        wants = optional (withRandomPassword != [ ]) passwords;
        after = [
          "postgresql.target"
          passwords
        ];
        path = [ config.services.postgresql.finalPackage ];
        environment.PGPORT = toString config.services.postgresql.settings.port;
        serviceConfig = oneshot // {
          User = "postgres";
          LoadCredential = [
            "password:${cfg.credentials.database-password}"
          ]
          ++ ownCredentials "database";
        };
        # A standby has role and database from its primary. psql reads the file and does the quoting: a command line can be
        # seen by everybody. Encoding and template are named because the cluster may have been made for another language,
        # whose encoding the roles refuse.
        script = ''
          if [ "$(psql --no-psqlrc --tuples-only --no-align --command='select pg_is_in_recovery()')" = t ]; then
            exit 0
          fi
          psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
            --set=role=${lib.escapeShellArg cfg.database.user} \
            --set=database=${lib.escapeShellArg cfg.database.name} <<'EOF'
          \set password `cat "$CREDENTIALS_DIRECTORY/password"`
          alter role :"role" password :'password';
          select format('create database %I owner %I encoding %L locale %L template template0',
                        :'database', :'role', 'UTF8', 'C.UTF-8')
          where not exists (select from pg_database where datname = :'database') \gexec
          EOF
        ''
        + lib.concatMapStrings ownDatabaseAccount (ownRoles "database");
      };
    })

    (mkIf (cfg.enable && cfg.rabbitmq.createLocally) {
      services.rabbitmq.enable = true;

      # It shares the machine with everything else: docs/OPERATIONS.md, "All on one machine".
      systemd.services.rabbitmq = {
        environment.RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS = lib.mkDefault "+sbwt none +sbwtdcpu none +sbwtdio none";
        serviceConfig.CPUSchedulingPolicy = lib.mkDefault "batch";
      };

      systemd.services.restaurant-system-rabbitmq = {
        description = "Restaurant: makes its RabbitMQ virtual host and the users with their passwords";
        requires = [ "rabbitmq.service" ];
        wants = optional (withRandomPassword != [ ]) passwords;
        after = [
          "rabbitmq.service"
          passwords
        ];
        path = [ config.services.rabbitmq.package ];
        # Where the cookie is by which it is let in.
        environment.HOME = config.services.rabbitmq.dataDir;
        serviceConfig = oneshot // {
          User = "rabbitmq";
          LoadCredential = [
            "password:${cfg.credentials.rabbitmq-password}"
          ]
          ++ ownCredentials "rabbitmq";
        };
        script = ''
          vhost=${lib.escapeShellArg cfg.rabbitmq.vhost}
          users=$(rabbitmqctl --quiet list_users --no-table-headers | cut --fields=1)

          account() { # user credential configure write read
            local password=$CREDENTIALS_DIRECTORY/$2
            if grep --quiet --line-regexp --fixed-strings -- "$1" <<< "$users"; then
              rabbitmqctl --quiet change_password "$1" < "$password"
            else
              # Another node of the cluster may do so at the same moment.
              rabbitmqctl --quiet add_user "$1" < "$password" || rabbitmqctl --quiet change_password "$1" < "$password"
            fi
            rabbitmqctl --quiet set_permissions --vhost "$vhost" "$1" "$3" "$4" "$5"
          }

          rabbitmqctl --quiet add_vhost "$vhost"
          account ${lib.escapeShellArg cfg.rabbitmq.user} password '.*' '.*' '.*'
        ''
        + lib.concatMapStrings ownRabbitmqAccount (ownRoles "rabbitmq")
        + lib.optionalString (cfg.rabbitmq.ownAccounts && cfg.settings.rabbitmq ? management_url) ''
          rabbitmqctl --quiet set_user_tags ${lib.escapeShellArg cfg.ownUsers.rabbitmq.order-service} monitoring
        '';
      };
    })
  ];
}
