# about: the backend's name in a variable was removed from DNS; the name server itself is well
# expect: dns-unresolvable
# forbid: dns-resolver-unreachable, backend-not-running
# status: 502
# log: farm-old.internal could not be resolved \(3: Host not found\)
setup() {
  serve farm 127.0.0.1:8250
  names 'local=/internal/' 'address=/farm.internal/127.0.0.1'
  vhost farm <<'CONF'
server {
    listen 80;
    server_name farm.example.org;
    resolver 127.0.0.1 valid=5s;
    set $farm farm-old.internal;
    location / { proxy_pass http://$farm:8250; }
}
CONF
  start_nginx
}
drive() { get / 5; }
