resource "docker_image" "web" {
  name = "registry.test/acme/web:1.4.2" # {"$imagepolicy": "apps:web"}
}
variable "tags" {
  default = [
    // {"$imagepolicy": "apps:web:tag"}
    "1.4.2",
  ]
}
