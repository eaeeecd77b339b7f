# about: the PHP script that decides who may enter lost its session store and answers 500; the pages behind it are well
# expect: auth-subrequest-failed
# forbid: upstream-returned-error, backend-aborts-request
# status: 500
# log: auth request unexpected status: 500
setup() {
  pool gate /run/php/gate.sock 'pm = static' 'pm.max_children = 2'
  php
  mkdir -p /srv/gate
  echo '<?php if (file_exists("/srv/gate/lost")) { error_log("cannot reach the session store"); http_response_code(500); }' > /srv/gate/check.php
  node board 127.0.0.1:8502
  listening 127.0.0.1:8502
  vhost board <<'CONF'
server {
    listen 80;
    server_name board.example.org;
    auth_request /check;
    location / { proxy_pass http://127.0.0.1:8502; }
    location = /check {
        internal;
        auth_request off;
        include fastcgi_params;
        fastcgi_pass_request_body off;
        fastcgi_param CONTENT_LENGTH "";
        fastcgi_param SCRIPT_FILENAME /srv/gate/check.php;
        fastcgi_pass unix:/run/php/gate.sock;
    }
}
CONF
  start_nginx
  get / 4
}
fault() { touch /srv/gate/lost; }
drive() { get /minutes 6; }
