# about: a containerized nginx logs to the engine's file alone; the application on the host, which it dials, is stopped
# expect: backend-not-running
# peer: 172.30.0.1:8443
# status: 502
BASE=http://172.30.0.5
setup() {
  proxy_to orders http://172.30.0.1:8443
  LOG=json ERROR_LOG=/dev/stderr nginx_conf
  sed -i 's#/var/log/nginx/access.log#/dev/stdout#' /etc/nginx/nginx.conf
  container web 172.30.0.5 'exec nginx -g "daemon off;"'
  listening 172.30.0.5:80
  serve orders 172.30.0.1:8443
  listening 172.30.0.1:8443
  get / 4
}
fault() { systemctl stop orders; }
drive() { get / 6; sleep 0.2; }
