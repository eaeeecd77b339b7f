# about: the TLS server knows its own name alone, and nginx asks it for the name of the upstream block
# expect: tls-sni-required
# forbid: tls-version-mismatch, tls-client-cert-required, tls-name-mismatch
# peer: 127.0.0.1:8701
# status: 502
# log: alert handshake failure.* while SSL handshaking to upstream
setup() {
  certificate choir.example.org
  cat > /srv/choir.py <<'PY'
import http.server
import ssl

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/srv/tls/choir.example.org.pem")
unknown = ssl.AlertDescription.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
context.sni_callback = lambda connection, name, _: None if name == "choir.example.org" else unknown
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8701), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
PY
  daemon choir '/usr/bin/python3 /srv/choir.py'
  listening 127.0.0.1:8701
  vhost choir <<'CONF'
upstream singers { server 127.0.0.1:8701; }
server {
    listen 80 default_server;
    location / { proxy_pass https://singers; proxy_ssl_server_name on; }
}
CONF
  start_nginx
}
drive() { get / 4; }
