variable "web_image" {
  type    = string
  default = "registry.test/acme/web:1.5.0"
}

variable "db_image" {
  default = "registry.test/acme/db:9.6"
}
