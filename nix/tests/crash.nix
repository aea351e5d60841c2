# Whatever is killed comes back, and every order that was answered with 201 is cooked once.
{
  name = "restaurant-system-crash";

  nodes.machine = {
    virtualisation.memorySize = 2048;
    services.restaurant-system = {
      enable = true;
      database.createLocally = true;
      rabbitmq.createLocally = true;
      settings.kitchen.cook_seconds = {
        dine_in = 2;
        takeout = 2;
        delivery = 2;
      };
      kitchenWorkers.chef_anna.heartbeatInterval = 2;
      kitchenWorkers.chef_mario.heartbeatInterval = 2;
    };
  };

  testScript = ''
    import json


    def place() -> str:
        order = {
            "customer_name": "Ada Lovelace",
            "order_type": "takeout",
            "items": [{"name": "Soup", "quantity": 2, "price": 4.5}],
        }
        answer = machine.succeed(
            "curl --fail --silent --retry 10 --retry-all-errors --header 'Content-Type: application/json' "
            f"--data '{json.dumps(order)}' http://127.0.0.1:3000/orders"
        )
        return str(json.loads(answer)["order_number"])


    def history(number: str) -> list[dict[str, str]]:
        entries: list[dict[str, str]] = json.loads(
            machine.succeed(
                f"curl --fail --silent --retry 10 --retry-all-errors http://127.0.0.1:3002/orders/{number}/history"
            )
        )
        return entries


    def wait_until_cooked_once(number: str) -> None:
        machine.wait_until_succeeds(
            f"curl --fail --silent http://127.0.0.1:3002/orders/{number}/status | grep '\"current_status\":\"ready\"'",
            timeout=120,
        )
        ready = [entry for entry in history(number) if entry["status"] == "ready"]
        t.assertEqual(len(ready), 1, f"{number} was finished more than once")


    def kill(unit: str) -> None:
        restarts = int(machine.succeed(f"systemctl show --value --property=NRestarts {unit}"))
        machine.succeed(f"systemctl kill --signal=KILL {unit}")
        machine.wait_until_succeeds(
            f"test $(systemctl show --value --property=NRestarts {unit}) -gt {restarts}", timeout=60
        )
        machine.wait_for_unit(unit)


    machine.wait_for_unit("restaurant-system.target")
    for unit in ["order-service", "tracking-service", "kitchen-worker@chef_anna", "kitchen-worker@chef_mario"]:
        machine.wait_for_unit(f"{unit}.service")

    with subtest("a cook that is killed while cooking"):
        number = place()
        machine.wait_until_succeeds(
            f"curl --fail --silent http://127.0.0.1:3002/orders/{number}/status | grep '\"current_status\":\"cooking\"'",
            timeout=60,
        )
        cook = next(entry["changed_by"] for entry in history(number) if entry["status"] == "cooking")
        kill(f"kitchen-worker@{cook}.service")
        wait_until_cooked_once(number)

    with subtest("a service that is killed: the socket holds the customers meanwhile"):
        kill("order-service.service")
        wait_until_cooked_once(place())

    with subtest("RabbitMQ that is away while orders come"):
        machine.succeed("systemctl stop rabbitmq.service")
        waiting = [place() for _ in range(3)]
        machine.succeed("systemctl start rabbitmq.service")
        for number in waiting:
            wait_until_cooked_once(number)

    with subtest("PostgreSQL that is restarted under them"):
        machine.succeed("systemctl restart postgresql.service")
        wait_until_cooked_once(place())

    with subtest("a machine whose power is cut"):
        last = place()
        machine.crash()
        machine.wait_for_unit("restaurant-system.target")
        machine.wait_for_unit("order-service.service")
        wait_until_cooked_once(last)
  '';
}
