variable "web_image" {
  type    = string
  default = "registry.test/acme/web:1.4.2"
}

variable "db_image" {
  default = "registry.test/acme/db:9.6"
}
