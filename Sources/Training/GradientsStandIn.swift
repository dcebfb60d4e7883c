import Model
extension Model {
    func appendingGradients(of loss: Int, withRespectTo tensors: [Int]) throws(Failure) -> Model { self }
}
