# about: nginx logs errors to syslog and no requests at all; the pool's socket went away with its master
# expect: backend-not-running
# forbid: unix-socket-wrong-path
# peer: unix:/run/php/notary.sock
# status: 502
# log: 2: No such file or directory\) while connecting to upstream
setup() {
  pool notary /run/php/notary.sock 'pm = ondemand' 'pm.max_children = 4'
  php
  LOG=off ERROR_LOG=syslog:server=unix:/dev/log,nohostname nginx_conf
  touch /lab/nginx.conf
  php_to notary unix:/run/php/notary.sock
  start_nginx
  get / 3
}
fault() { systemctl stop php8.2-fpm; }
drive() { get / 5; }
