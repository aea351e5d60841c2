# `restaurant-system dev`, with the servers that it runs on its PATH, and `restaurant-system simulate`, its customers.
{
  lib,
  runCommand,
  makeBinaryWrapper,
  restaurant-system,
  servers,
}:

runCommand "restaurant-system-dev"
  {
    nativeBuildInputs = [ makeBinaryWrapper ];
    meta = {
      description = "Everything at once, with private PostgreSQL and RabbitMQ servers";
      inherit (restaurant-system.meta) license platforms;
      mainProgram = "restaurant-system-dev";
    };
  }
  ''
    makeWrapper ${lib.getExe restaurant-system} $out/bin/restaurant-system-dev \
      --argv0 ${restaurant-system.meta.mainProgram} \
      --add-flags dev \
      --prefix PATH : ${lib.makeBinPath servers}
    makeWrapper ${lib.getExe restaurant-system} $out/bin/restaurant-system-simulate \
      --argv0 ${restaurant-system.meta.mainProgram} \
      --add-flags simulate
  ''
