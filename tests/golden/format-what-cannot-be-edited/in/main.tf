name = "registry.test/acme/web:${var.tag}" # {"$imagepolicy": "apps:web"}
pair = ["registry.test/acme/web:1.4.2", "registry.test/acme/web:1.4.2"] # {"$imagepolicy": "apps:web"}
