# about: the resolver's address belongs to a name server that was retired; the gRPC backend's name stands in a variable
# expect: dns-resolver-unreachable
# forbid: dns-unresolvable, backend-not-running, upstream-blackholed
# status: 502 504
# log: could not be resolved \(110: Operation timed out\)
LOG=timing
setup() {
  neighbour
  there ip addr add 10.60.0.53/24 dev wire1
  printf '%s\n' no-resolv no-hosts listen-address=10.60.0.53 bind-interfaces address=/stock.warehouse.internal/127.0.0.1 > /etc/name-server.conf
  daemon name-server '/usr/sbin/dnsmasq --keep-in-foreground --user=nobody --conf-file=/etc/name-server.conf' "$NEXT_DOOR"
  listening 10.60.0.53:53
  other_nginx stock <<'CONF'
server { listen 127.0.0.1:8581 http2; location / { return 200; } }
CONF
  listening 127.0.0.1:8581
  vhost stock <<'CONF'
server {
    listen 80 default_server;
    resolver 10.60.0.53 valid=1s ipv6=off;
    resolver_timeout 1s;
    set $stock stock.warehouse.internal;
    location / { grpc_pass grpc://$stock:8581; }
}
CONF
  start_nginx
  get / 2
}
fault() {
  systemctl stop name-server
  there ip addr del 10.60.0.53/24 dev wire1
  # Its network still takes the packets, and nobody reads them.
  ip neigh replace 10.60.0.53 lladdr 02:00:00:00:00:53 dev wire0
  sleep 2
}
drive() { get / 3; }
