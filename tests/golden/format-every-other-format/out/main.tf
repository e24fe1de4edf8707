resource "docker_image" "web" {
  name = "registry.test/acme/web:1.5.0" # {"$imagepolicy": "apps:web"}
}
variable "tags" {
  default = [
    // {"$imagepolicy": "apps:web:tag"}
    "1.5.0",
  ]
}
