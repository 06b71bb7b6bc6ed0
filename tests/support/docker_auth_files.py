"""Configurations of docker_auth with the features of those that its project publishes, and of an installation."""

HASH = "$2y$05$" + "x" * 53

SIMPLE = f"""\
server: {{addr: ":5001", certificate: "/path/to/server.pem", key: "/path/to/server.key"}}
token: {{issuer: "Auth server of a vendor", expiration: 900}}
users:
  "admin":  # made with htpasswd -nB
    password: "{HASH}"
  "test":
    password: "{HASH}"
acl:
  - match: {{account: "admin"}}
    actions: ["*"]
    comment: "All of it."
  - match: {{account: "user"}}
    actions: ["pull"]
  # Nobody else.
"""
"""Users and an ACL without names."""

REFERENCE = f"""\
server:
  addr: ":5001"
  letsencrypt: {{email: webmaster@vendor.test, cache_dir: /data/sslcache}}
token: {{issuer: "Auth server of a vendor", expiration: 900}}
users:
  "admin": {{password: "{HASH}"}}
  "test": {{password: "{HASH}"}}
  "": {{}}
google_auth: {{domain: "vendor.test", client_id: "x", client_secret_file: "/x", token_db: "/tokens.ldb"}}
github_auth: {{organization: "vendor", client_id: "x", client_secret_file: "/x", token_db: "/github.ldb"}}
ldap_auth: {{addr: "ldap.vendor.test:636", tls: always, base: o=vendor, filter: "(uid=${{account}})"}}
mongo_auth: {{dial_info: {{addrs: ["localhost"], database: "docker_auth"}}, collection: "users"}}
ext_auth: {{command: "/usr/local/bin/my_auth", args: ["--flag"]}}
acl:
  - match: {{ip: "127.0.0.0/8"}}
    actions: ["*"]
    comment: "Everything from this machine"
  - match: {{account: "admin"}}
    actions: ["*"]
  - match: {{account: "test", name: "test-*"}}
    actions: ["*"]
  - match: {{account: "test"}}
    actions: []
  - match: {{account: "/.+/", name: "${{account}}/*"}}
    actions: ["*"]
  - match: {{account: "/.+/", type: "registry", name: "catalog"}}
    actions: ["*"]
  - match: {{account: "/.+/"}}
    actions: ["pull"]
  - match: {{account: "", name: "hello-world"}}
    actions: ["pull"]
  - match: {{account: "/^(.+)@vendor.test$/", name: "${{account:1}}/*"}}
    actions: []
  - match: {{labels: {{"group": "VIP"}}}}
    actions: ["push"]
  - match: {{name: "${{labels:group}}-shared/*"}}
    actions: ["push", "pull"]
acl_mongo: {{dial_info: {{addrs: ["localhost"]}}, collection: "acl", cache_ttl: "1m"}}
ext_authz: {{command: "/usr/local/bin/my_authz"}}
"""
"""Everything that there is."""

LDAP = """\
server:
  addr: :5001
token:
  issuer: Auth server of a vendor
  expiration: 900
ldap_auth:
  addr: ldap.vendor.test:389
  base: o=vendor
  filter: (&(uid=${account})(objectClass=person))
acl:
  - match:
      account: /.+/
    actions: ['*']
"""
"""Accounts that are all elsewhere."""

ANONYMOUS = """\
users:
  "": {}
acl:
- match:
    account: ""
  actions: [pull]
- match:
    account: /.+/
  actions: ['*']
"""
"""Pulls without a sign-in."""

VENDOR = f"""\
users:
  "alice@vendor.test": {{password: "{HASH}"}}
  "dora@vendor.test": {{password: "{HASH}"}}
  "ci_build": {{password: "{HASH}"}}
  "customer": {{password: "{HASH}"}}
acl:
  - match: {{account: "alice@vendor.test"}}
    actions: ["*"]
  - match: {{account: "dora@vendor.test", name: "/^APP\\\\/.+$/"}}
    actions: ["pull", "push"]
  - match: {{account: "customer", name: "APP/internal-*"}}
    actions: []
    comment: "never"
  - match: {{account: "ci_*", name: "APP/*"}}
    actions: ["pull", "push"]
  - match: {{account: "customer", name: "APP/worker"}}
    actions: ["pull"]
  - match: {{ip: "10.0.0.0/8"}}
    actions: ["pull"]
"""
"""Two people, a machine and a customer; APP stands for a namespace."""
