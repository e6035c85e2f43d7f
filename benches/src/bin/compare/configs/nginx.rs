//! nginx: one worker process; bodies stay in memory.

use crate::configs::Setting;

/// The whole file.
pub(crate) fn file(setting: &Setting<'_>) -> String {
    let Setting {
        address,
        origin,
        identity,
        ..
    } = setting;
    let folder = setting.folder.display();
    let listen = if setting.scenario.has_tls() {
        let (certificate, key) = (
            identity.certificate_file.display(),
            identity.key_file.display(),
        );
        format!(
            "listen {address} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        ssl_ecdh_curve X25519;
        ssl_session_cache shared:tls:10m;"
        )
    } else {
        format!("listen {address};")
    };
    format!(
        "daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    proxy_buffers 16 64k;
    proxy_busy_buffers_size 128k;
    proxy_max_temp_file_size 0;
    upstream origin {{
        server {origin};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        {listen}
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }}
    }}
}}
"
    )
}
