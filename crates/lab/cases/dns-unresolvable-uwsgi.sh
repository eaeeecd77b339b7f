# about: uwsgi_pass takes the backend's name from a map, and for one tenant that name was never entered in DNS
# expect: dns-unresolvable
# forbid: dns-resolver-unreachable, backend-not-running
# status: 502
# log: blue.tenants.internal could not be resolved \(3: Host not found\)
LOG=timing
setup() {
  uwsgi tenants '--socket 127.0.0.1:9330' '--processes 2'
  names 'local=/internal/' 'address=/green.tenants.internal/127.0.0.1'
  listening 127.0.0.1:9330
  vhost tenants <<'CONF'
map $http_x_tenant $tenant {
    default green.tenants.internal;
    blue blue.tenants.internal;
}
server {
    listen 80;
    resolver 127.0.0.1 ipv6=off;
    location / { include uwsgi_params; uwsgi_pass $tenant:9330; }
}
CONF
  start_nginx
  get / 4
}
drive() { get /home 5 -H 'X-Tenant: blue'; get / 3; }
