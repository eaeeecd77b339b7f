# about: the files name the new port, but also a certificate that does not exist: the reload was refused
# expect: config-reload-failed
# forbid: config-not-reloaded, wrong-upstream-port, backend-not-running
# peer: 127.0.0.1:8340
# status: 502
# log: \[emerg\].*cannot load certificate "/etc/ssl/private/shelter.pem"
setup() {
  serve shelter 127.0.0.1:8340
  listening 127.0.0.1:8340
  proxy_to shelter http://127.0.0.1:8340
  start_nginx
  get / 4
  sleep 1.1
}
fault() {
  systemctl stop shelter
  sed -i 's/8340/8341/' /etc/systemd/system/shelter.service /etc/nginx/conf.d/shelter.conf
  printf 'server {\n  listen 443 ssl;\n  ssl_certificate /etc/ssl/private/shelter.pem;\n  ssl_certificate_key /etc/ssl/private/shelter.pem;\n}\n' | vhost shelter-tls
  systemctl daemon-reload
  systemctl start shelter
  listening 127.0.0.1:8341
  kill -HUP "$(cat /run/nginx.pid)"
  sleep 0.3
}
drive() { get / 5; }
