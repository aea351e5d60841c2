# A new version with a migration, while customers order: no request fails, no order is lost, and the cook of the moment
# is restarted as well.
{ lib, ... }:

{
  name = "restaurant-system-upgrade";

  nodes.machine =
    { config, ... }:
    let
      inherit (config.services.restaurant-system) package;
      # The next version: one migration more.
      next = package.overrideAttrs (previous: {
        pname = "${previous.pname}-next";
        postPatch = (previous.postPatch or "") + ''
          last=$(ls migrations | sed --quiet 's/^V\([0-9]*\)__.*/\1/p' | sort --numeric-sort | tail --lines=1)
          echo 'create table upgraded (id int);' > migrations/V$((last + 1))__upgraded.sql
        '';
      });
    in
    {
      virtualisation.memorySize = 2048;
      services.restaurant-system = {
        enable = true;
        database.createLocally = true;
        rabbitmq.createLocally = true;
        settings.kitchen.cook_seconds = {
          dine_in = 1;
          takeout = 1;
          delivery = 1;
        };
        kitchenWorkers.chef_anna = { };
      };
      specialisation.next.configuration.services.restaurant-system.package = lib.mkForce next;
    };

  testScript = ''
    import json

    NEXT = "/run/current-system/specialisation/next/bin/switch-to-configuration test"
    TABLES = "runuser --user=postgres -- psql --tuples-only --dbname=restaurant --command='\\dt upgraded'"

    machine.wait_for_unit("restaurant-system.target")
    machine.wait_for_unit("order-service.service")
    machine.wait_for_unit("kitchen-worker@chef_anna.service")
    machine.succeed("systemctl start kitchen-worker@chef_luigi")
    assert "upgraded" not in machine.succeed(TABLES)
    before = machine.succeed("systemctl show --value --property=MainPID order-service kitchen-worker@chef_luigi")
    socket = machine.succeed("systemctl show --value --property=ActiveEnterTimestampMonotonic order-service.socket")

    machine.succeed(
        "systemd-run --unit=customers --property=StandardOutput=file:/tmp/report.json "
        "restaurant-system simulate --rate 20 --duration 45 --bad-percent 0 --json"
    )
    machine.wait_until_succeeds("journalctl ACTION=order_received --output=cat | grep .", timeout=30)

    machine.succeed(NEXT)
    machine.wait_until_succeeds(f"{TABLES} | grep upgraded", timeout=60)
    machine.wait_for_unit("order-service.service")
    after = machine.succeed("systemctl show --value --property=MainPID order-service kitchen-worker@chef_luigi")
    t.assertEqual(set(before.split()) & set(after.split()), set(), "something was not restarted")
    t.assertEqual(
        machine.succeed("systemctl show --value --property=ActiveEnterTimestampMonotonic order-service.socket"),
        socket,
        "the socket was closed",
    )

    machine.wait_until_fails("systemctl is-active customers", timeout=180)
    report = json.loads(machine.succeed("cat /tmp/report.json"))
    t.assertEqual((report["failed"], report["refused"], report["unanswered"]), (0, {}, 0), f"requests failed: {report}")
  '';
}
