# about: parcels is stopped; nginx speaks uwsgi to it over IPv6, its log goes to a file of the site's own
# expect: backend-not-running
# forbid: upstream-ipv6-mismatch, upstream-address-mismatch, protocol-mismatch
# peer: [::1]:9311
# status: 502
# log: 111: Connection refused.*uwsgi://\[::1\]:9311
BASE=http://[::1]:8088
setup() {
  uwsgi parcels '--socket [::1]:9311' '--processes 2'
  listening '[::1]:9311'
  vhost parcels <<'CONF'
server {
    listen [::1]:8088;
    server_name parcels.example.org;
    access_log /var/log/nginx/parcels-access.log timing;
    error_log /var/log/nginx/parcels-error.log;
    location / {
        include uwsgi_params;
        uwsgi_pass [::1]:9311;
    }
}
CONF
  start_nginx
  get / 3
}
fault() { systemctl stop parcels; }
drive() { get /track/7 5; }
