# On `one`, `two` and `three`: RabbitMQ and a cook on each; PostgreSQL and both services on the first two.
{ config, lib, ... }:

let
  machines = [
    "one"
    "two"
    "three"
  ];
  inherit (config.networking) hostName;
  hasDatabase = hostName != "three";
in
{
  services.restaurant-system = {
    enable = true;
    database = {
      createLocally = hasDatabase;
      host = [
        "one"
        "two"
      ];
      passwordFile = "/run/secrets/restaurant-database";
    };
    rabbitmq = {
      createLocally = true;
      host = machines;
      queueType = "quorum";
      passwordFile = "/run/secrets/restaurant-rabbitmq";
    };
    orderService.enable = hasDatabase;
    trackingService.enable = hasDatabase;
    notificationSubscribers = lib.mkIf hasDatabase { counter = { }; };
    kitchenWorkers."chef_${hostName}" = { };
  };

  services.postgresql = lib.mkIf hasDatabase {
    enableTCPIP = true;
    authentication = ''
      host restaurant  restaurant 192.168.1.0/24 scram-sha-256
      host replication replica    192.168.1.0/24 scram-sha-256
    '';
    ensureUsers = [
      {
        name = "replica";
        ensureClauses.replication = true;
      }
    ];
    settings = {
      wal_keep_size = "1GB";
      wal_log_hints = "on"; # for pg_rewind
    };
  };

  services.rabbitmq = {
    listenAddress = "0.0.0.0";
    configItems = {
      "cluster_partition_handling" = "pause_minority";
      "cluster_formation.peer_discovery_backend" = "classic_config";
      "quorum_queue.continuous_membership_reconciliation.enabled" = "true";
      "quorum_queue.continuous_membership_reconciliation.target_group_size" = "3";
    }
    // lib.listToAttrs (
      lib.imap1 (
        n: machine:
        lib.nameValuePair "cluster_formation.classic_config.nodes.${toString n}" "rabbit@${machine}"
      ) machines
    );
  };

  # The same on all: by it the nodes let each other in.
  systemd.services.rabbitmq = {
    serviceConfig.LoadCredential = "cookie:/run/secrets/rabbitmq-cookie";
    preStart = ''install --mode=400 "$CREDENTIALS_DIRECTORY/cookie" /var/lib/rabbitmq/.erlang.cookie'';
  };

  # PostgreSQL, RabbitMQ, and between its nodes.
  networking.firewall.allowedTCPPorts = [
    5432
    5672
    4369
    25672
  ];
}
