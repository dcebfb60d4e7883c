extension Model {
    package func validate() throws(Failure) {}
}
