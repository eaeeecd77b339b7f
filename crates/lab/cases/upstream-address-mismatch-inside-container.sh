# about: nginx in a container dials 127.0.0.1, which is the container itself; the application runs on the host
# expect: upstream-address-mismatch
# forbid: backend-not-running, wrong-upstream-port
# peer: 127.0.0.1:8441
# status: 502
BASE=http://172.30.0.5
setup() {
  gunicorn kiosk 0.0.0.0:8441 '--workers 2'
  listening 127.0.0.1:8441
  proxy_to kiosk http://127.0.0.1:8441
  nginx_conf
  container web 172.30.0.5 'exec nginx -g "daemon off;"'
  listening 172.30.0.5:80
}
drive() { get / 6; }
